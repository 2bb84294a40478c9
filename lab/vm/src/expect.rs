//! What is wanted of each kernel and card. Anything else is a failure, also when it is better: then this is to be changed,
//! and the README's table with it.

use lab::relay::Mode;

use crate::machine::{Card, Series};

/// The mode in which `attach --mode ASKED` ends; `None` if it must be refused.
pub fn mode(series: Series, card: Card, asked: Mode) -> Option<Mode> {
    match (asked, series, card) {
        // It has no tcx, and its vmxnet3 no XDP (Linux 6.6 has).
        (Mode::Auto, Series::V6_1, Card::E1000e | Card::Vmxnet3) => Some(Mode::Userspace),
        (Mode::Xdp, Series::V6_1, Card::Vmxnet3) => None,
        (Mode::Tc, Series::V6_1, _) => None,
        // Its driver takes no XDP program.
        (Mode::Auto, _, Card::E1000e) => Some(Mode::Tc),
        (Mode::Xdp, _, Card::E1000e) => None,
        (Mode::Auto | Mode::Xdp, _, _) => Some(Mode::Xdp),
        (Mode::Tc, _, _) => Some(Mode::Tc),
        (Mode::Userspace, _, _) => Some(Mode::Userspace),
    }
}

/// May packets be lost while a program comes onto the card? vmxnet3 takes its link down and up for that.
pub fn attaching_loses(card: Card) -> bool {
    card == Card::Vmxnet3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_ends_on_the_best_that_is_not_refused() {
        for series in Series::ALL {
            for card in Card::ALL {
                let best = [Mode::Xdp, Mode::Tc, Mode::Userspace]
                    .into_iter()
                    .find_map(|asked| mode(series, card, asked));
                assert_eq!(mode(series, card, Mode::Auto), best, "{series}, {card}");
            }
        }
    }
}
