//! One RTP stream of a mountpoint: numbered through, kept for a while, with its last keyframe.
