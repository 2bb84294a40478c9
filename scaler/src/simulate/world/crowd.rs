//! Who watches where. Viewers are counted, not followed: whoever comes is spread over the egresses as `node::directory::choice`
//! spreads them, by the places that are free; an egress lets in so many a second as it was measured to.

use std::collections::VecDeque;

use crate::model::Ms;
use crate::simulate::chance::Dice;

/// What an egress is to the crowd.
#[derive(Debug)]
pub struct Seats<'a> {
    /// Who watches there.
    pub viewers: &'a mut u32,
    /// Most who can.
    pub most: u32,
    /// Newcomers are sent to it.
    pub is_offered: bool,
    /// It plays. One that is offered and does not has died a moment ago.
    pub plays: bool,
    /// It gives away whom it has.
    pub gives_away: bool,
    /// Viewers whom it can let in within this step.
    pub turns: u32,
}

impl Seats<'_> {
    fn free(&self) -> u32 {
        if self.is_offered { self.most.saturating_sub(*self.viewers) } else { 0 }
    }

    fn takes(&self) -> u32 {
        if self.plays { self.free().min(self.turns) } else { 0 }
    }

    fn take(&mut self, viewers: u32) {
        *self.viewers += viewers;
        self.turns -= viewers;
    }
}

/// Groups that wait; those who come when there are more join the last one.
const MOST_GROUPS: usize = 300;

/// All who want to watch and do not yet.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// When they began to wait, and how many.
    waiting: VecDeque<(Ms, u32)>,
    /// All of them.
    number: u32,
}

/// What a step was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Waiting, and there is no place for them.
    pub in_the_dark: u32,
    /// Waiting for their turn at an egress that has a place, or sent to one that has just died.
    pub at_the_door: u32,
    /// For how long the first of them has waited, ms.
    pub longest_wait: u64,
}

impl Crowd {
    /// All who wait.
    pub fn waiting(&self) -> u32 {
        self.number
    }

    /// These have lost their egress, or have just come.
    pub fn wait(&mut self, now: Ms, viewers: u32) {
        if viewers == 0 {
            return;
        }
        self.number += viewers;
        let is_full = self.waiting.len() >= MOST_GROUPS;
        match self.waiting.back_mut() {
            Some((_, last)) if is_full => *last += viewers,
            _ => self.waiting.push_back((now, viewers)),
        }
    }

    /// Some come and go: afterwards, about so many are there as want to watch, of whom in this step this part has had enough.
    pub fn come_and_go(
        &mut self,
        seats: &mut [Seats<'_>],
        wanted: f64,
        leaving: f64,
        now: Ms,
        dice: &mut Dice,
    ) {
        let watching: u32 = seats.iter().map(|seats| *seats.viewers).sum();
        let here = watching + self.waiting();
        let enough = dice.part(here, leaving);
        let too_many = f64::from(here) - f64::from(enough) - wanted;
        let leave = enough + too_many.max(0.0).round() as u32;
        self.wait(now, dice.number((-too_many).max(0.0)));
        self.leave(seats, leave.min(here), here, dice);
    }

    /// Any of them, wherever they are.
    fn leave(&mut self, seats: &mut [Seats<'_>], mut leave: u32, mut of: u32, dice: &mut Dice) {
        let places = seats.iter_mut().map(|seats| &mut *seats.viewers);
        for place in places.chain(self.waiting.iter_mut().map(|(_, viewers)| viewers)) {
            if leave == 0 {
                break;
            }
            let gone = dice.part(leave, f64::from(*place) / f64::from(of.max(1))).min(*place);
            of -= *place;
            *place -= gone;
            leave -= gone;
        }
        self.waiting.retain(|(_, viewers)| *viewers > 0);
        self.number = self.waiting.iter().map(|(_, viewers)| viewers).sum();
    }

    /// Those who wait are sent to egresses, and those of egresses that are drained go over to others without a gap.
    pub fn find_places(&mut self, seats: &mut [Seats<'_>], now: Ms, dice: &mut Dice) -> Step {
        let came = spread(seats, self.waiting(), dice);
        self.found(came);
        for giver in 0..seats.len() {
            if seats[giver].gives_away && *seats[giver].viewers > 0 {
                let moved = spread(seats, *seats[giver].viewers, dice);
                *seats[giver].viewers -= moved;
            }
        }
        let waiting = self.waiting();
        let free: u32 = seats.iter().filter(|seats| seats.plays).map(Seats::free).sum();
        let in_the_dark = waiting.saturating_sub(free);
        let longest_wait = self.waiting.front().map_or(0, |(since, _)| now.saturating_sub(*since));
        Step { in_the_dark, at_the_door: waiting - in_the_dark, longest_wait }
    }

    /// So many need not wait any longer, first who has waited longest.
    fn found(&mut self, mut came: u32) {
        self.number -= came;
        while let Some((_, viewers)) = self.waiting.front_mut() {
            let some = came.min(*viewers);
            *viewers -= some;
            came -= some;
            if *viewers > 0 {
                return;
            }
            self.waiting.pop_front();
        }
    }
}

/// Sends so many to egresses, the more the more places are free there; who does not get in tries again. How many got in.
fn spread(seats: &mut [Seats<'_>], viewers: u32, dice: &mut Dice) -> u32 {
    /// Within a step.
    const TRIES: usize = 3;
    let mut left = viewers;
    for _ in 0..TRIES {
        let mut free: u32 = seats.iter().map(Seats::free).sum();
        let mut to_send = left;
        for seats in &mut *seats {
            if to_send == 0 || free == 0 {
                break;
            }
            let here = seats.free();
            let sent = dice.part(to_send, f64::from(here) / f64::from(free));
            let took = sent.min(seats.takes());
            seats.take(took);
            (to_send, free, left) = (to_send - sent, free - here, left - took);
        }
        if left == 0 {
            break;
        }
    }
    viewers - left
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use node::directory::choice::{Wish, choose, key};
    use node::directory::{Entry, Particulars};
    use node::record::NodeType;

    use super::*;

    fn seats(viewers: &mut u32, most: u32) -> Seats<'_> {
        Seats { viewers, most, is_offered: true, plays: true, gives_away: false, turns: u32::MAX }
    }

    #[test]
    fn newcomers_are_spread_as_the_door_spreads_them() {
        const COME: u32 = 3000;
        let rooms = [(0, 1000), (700, 1000), (0, 3000), (999, 1000)];
        let entry = |(viewers, max_viewers): (u32, u32)| Entry {
            node_type: NodeType::Egress,
            url: "http://e".to_owned(),
            zone: String::new(),
            status: "active".to_owned(),
            parent: None,
            particulars: Particulars { viewers, max_viewers, ..Particulars::default() },
        };
        // The door knows of each that was let in before.
        let mut nodes: BTreeMap<String, Entry> =
            rooms.iter().enumerate().map(|(n, room)| (n.to_string(), entry(*room))).collect();
        for viewer in 0..COME {
            let wish = Wish { viewer: key(viewer.to_string().as_bytes()), ..Wish::default() };
            let chosen = choose(&nodes, &wish).unwrap().to_owned();
            nodes.get_mut(&chosen).unwrap().particulars.viewers += 1;
        }
        let mut viewers = rooms.map(|(viewers, _)| viewers);
        let mut crowd = Crowd::default();
        crowd.wait(0, COME);
        let mut all: Vec<Seats<'_>> =
            viewers.iter_mut().zip(rooms).map(|(viewers, (_, most))| seats(viewers, most)).collect();
        let step = crowd.find_places(&mut all, 0, &mut Dice::new(1));
        assert_eq!(step, Step::default());
        for (n, viewers) in viewers.iter().enumerate() {
            let really = nodes[&n.to_string()].particulars.viewers;
            // Four standard deviations of so many draws.
            assert!(viewers.abs_diff(really) < 120, "{n}: {viewers} modelled, {really} chosen");
        }
    }

    #[test]
    fn who_finds_no_place_waits_in_the_dark_and_is_counted() {
        let (mut one, mut other) = (90, 95);
        let mut crowd = Crowd::default();
        crowd.wait(1000, 40);
        let step =
            crowd.find_places(&mut [seats(&mut one, 100), seats(&mut other, 100)], 6000, &mut Dice::new(1));
        assert_eq!(step, Step { in_the_dark: 25, at_the_door: 0, longest_wait: 5000 });
        assert_eq!((one, other, crowd.waiting()), (100, 100, 25));
    }

    #[test]
    fn an_egress_lets_in_so_many_a_second_and_one_that_has_just_died_nobody() {
        let (mut slow, mut dead) = (0, 0);
        let mut crowd = Crowd::default();
        crowd.wait(0, 1000);
        let mut both = [
            Seats { turns: 300, ..seats(&mut slow, 1000) },
            Seats { plays: false, ..seats(&mut dead, 1000) },
        ];
        let step = crowd.find_places(&mut both, 1000, &mut Dice::new(1));
        assert_eq!((step.in_the_dark, step.at_the_door), (0, 700));
        assert_eq!((slow, dead), (300, 0));
    }

    #[test]
    fn a_drained_egress_gives_away_only_whom_others_take() {
        let (mut drained, mut other) = (500, 800);
        let mut both = [
            Seats { gives_away: true, is_offered: false, ..seats(&mut drained, 1000) },
            seats(&mut other, 1000),
        ];
        let step = Crowd::default().find_places(&mut both, 0, &mut Dice::new(1));
        assert_eq!(step, Step::default());
        assert_eq!((drained, other), (300, 1000));
    }

    #[test]
    fn as_many_are_there_as_want_to_be() {
        let mut dice = Dice::new(3);
        let (mut one, mut other) = (0, 0);
        let mut crowd = Crowd::default();
        for (second, wanted) in [(0, 2000.0), (1, 2000.0), (2, 500.0), (3, 500.0)] {
            let mut both = [seats(&mut one, 1000), seats(&mut other, 3000)];
            crowd.come_and_go(&mut both, wanted, 0.01, second, &mut dice);
            crowd.find_places(&mut both, second, &mut dice);
            let here = f64::from(one + other + crowd.waiting());
            assert!((here - wanted).abs() < 200.0, "{here} of {wanted}");
        }
    }
}
