//! What is counted. All of it is packets, unless it says otherwise.

/// Of what was missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Did not come in their place.
    pub missing: u64,
    /// Came by themselves.
    pub late: u64,
    /// Were asked for, at least once.
    pub asked: u64,
    /// Were asked for again: each time counts.
    pub repeated: u64,
    /// Requests that went out: packets of RTCP.
    pub requests: u64,
    /// Came after they had been asked for.
    pub repaired: u64,
    /// Given up: the deadline was over.
    pub expired: u64,
    /// Given up: a keyframe had come, or the stream had ended.
    pub useless: u64,
    /// Given up at once: more were missing than are asked for.
    pub too_many: u64,
}

impl Asking {
    /// What viewers miss: the deadline was over, or there was too much of it. What a keyframe made useless they do not.
    pub fn given_up(&self) -> u64 {
        self.expired + self.too_many
    }
}

impl std::ops::AddAssign for Asking {
    fn add_assign(&mut self, other: Asking) {
        let Asking { missing, late, asked, repeated, requests, repaired, expired, useless, too_many } = other;
        self.missing += missing;
        self.late += late;
        self.asked += asked;
        self.repeated += repeated;
        self.requests += requests;
        self.repaired += repaired;
        self.expired += expired;
        self.useless += useless;
        self.too_many += too_many;
    }
}

impl std::ops::Sub for Asking {
    type Output = Asking;

    /// What was counted since it was `former`.
    fn sub(self, former: Asking) -> Asking {
        let Asking { missing, late, asked, repeated, requests, repaired, expired, useless, too_many } = self;
        Asking {
            missing: missing.saturating_sub(former.missing),
            late: late.saturating_sub(former.late),
            asked: asked.saturating_sub(former.asked),
            repeated: repeated.saturating_sub(former.repeated),
            requests: requests.saturating_sub(former.requests),
            repaired: repaired.saturating_sub(former.repaired),
            expired: expired.saturating_sub(former.expired),
            useless: useless.saturating_sub(former.useless),
            too_many: too_many.saturating_sub(former.too_many),
        }
    }
}

/// Of what others asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answering {
    /// Packets that children asked for: each time counts.
    pub asked: u64,
    /// Packets that were sent again.
    pub answered: u64,
    /// Bytes of them, without UDP and IP.
    pub bytes: u64,
    /// Refused: whoever asked is no child.
    pub strangers: u64,
    /// Refused: the stream does not go to that child, or there is none.
    pub no_stream: u64,
    /// Refused: not kept, or not any more.
    pub unknown: u64,
    /// Refused: it was sent to that child a moment ago.
    pub repeated: u64,
    /// Refused: too old to be of use.
    pub old: u64,
    /// Refused: the child's budget is used up.
    pub over_budget: u64,
}

impl Answering {
    /// What was asked for, what of it was sent again, and what was not.
    pub fn summary(&self) -> [u64; 3] {
        [self.asked, self.answered, self.refused().iter().map(|(_, count)| count).sum()]
    }

    /// What was refused, by reason.
    pub fn refused(&self) -> [(&'static str, u64); 6] {
        [
            ("stranger", self.strangers),
            ("no_stream", self.no_stream),
            ("unknown", self.unknown),
            ("repeated", self.repeated),
            ("old", self.old),
            ("over_budget", self.over_budget),
        ]
    }
}

impl std::ops::AddAssign for Answering {
    fn add_assign(&mut self, other: Answering) {
        let Answering { asked, answered, bytes, strangers, no_stream, unknown, repeated, old, over_budget } =
            other;
        self.asked += asked;
        self.answered += answered;
        self.bytes += bytes;
        self.strangers += strangers;
        self.no_stream += no_stream;
        self.unknown += unknown;
        self.repeated += repeated;
        self.old += old;
        self.over_budget += over_budget;
    }
}
