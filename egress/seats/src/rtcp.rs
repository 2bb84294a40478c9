//! RTCP of a viewer: what it reports and asks for, and our reports to it.
