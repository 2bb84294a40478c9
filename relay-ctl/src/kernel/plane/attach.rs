//! Programs and links: attaching, taking over, changing the mode, holding interfaces for xdp.

use super::DataPlane;
use crate::kernel::known::{Known, before_ours, program};
use crate::kernel::pins::Pins;
use crate::kernel::{KernelError, links, pins, probe, programs};
use crate::mode::Mode;

impl DataPlane {
    /// Sets the mode for the changes to come. Xdp loads the devmap program.
    pub fn prepare(&mut self, mode: Mode) -> Result<(), KernelError> {
        self.programs.verify(mode)?;
        if self.mode != mode {
            // What the last change replaced may still be under a packet's eyes, and the books that say so are closed.
            let grace = std::time::Duration::from_millis(crate::fanout::GRACE_MS);
            let left = self.changed.map(|changed| grace.saturating_sub(changed.elapsed()));
            std::thread::sleep(left.unwrap_or_default());
            // Devmaps are there only in xdp mode: the next change builds every set anew, beside what is there.
            self.resume()?;
        }
        // XDP goes on taking the packets until tc has been attached: until then sets need their devmaps.
        self.copy = match mode {
            Mode::Xdp => Some(self.programs.copy()?),
            Mode::Tc if self.xdp_takes_packets()? => Some(self.programs.copy()?),
            Mode::Tc | Mode::Userspace => None,
        };
        self.mode = mode;
        Ok(())
    }

    /// Attaches, or replaces the program in the link that is there. What another mode attached ends last, so that at
    /// every moment a program takes the packets: with both there, XDP is the first to see them.
    pub fn attach(&mut self) -> Result<(), KernelError> {
        let (pins, ifindex) = (&self.pins, self.ifindex);
        if let Some(older) = &self.older {
            // From here on this version's directory is a whole data plane, whatever becomes of this process.
            pins.adopt_links(older)?;
        }
        match self.mode {
            Mode::Xdp => {
                if self.older.is_some() && self.xdp_takes_packets()? && probe::tcx().is_ok() {
                    self.cross_by_tc()?;
                }
                self.programs.attach_xdp(&self.pins, ifindex)?;
                links::remove_link(&self.pins, pins::LINK_TCX)?;
            }
            Mode::Tc => {
                self.programs.attach_tc(pins, ifindex)?;
                self.programs.pass_xdp(pins, ifindex)?;
                self.copy = None;
                links::remove_link(pins, pins::LINK_XMIT)?;
                links::remove_link(pins, pins::LINK_BUSY)?;
            }
            Mode::Userspace => {}
        }
        self.older = None;
        self.pins.older().iter().try_for_each(Pins::remove_version)
    }

    /// Between two versions' `relay_xdp`. Copies wait for the end of a poll in a queue that has one devmap program for all
    /// of them: the older version's would meet tokens that only the new one's maps know. So tc takes the packets meanwhile.
    fn cross_by_tc(&mut self) -> Result<(), KernelError> {
        self.programs.attach_tc(&self.pins, self.ifindex)?;
        self.programs.pass_xdp(&self.pins, self.ifindex)?;
        std::thread::sleep(std::time::Duration::from_millis(crate::fanout::GRACE_MS));
        Ok(())
    }

    /// True while the XDP program in the link is one that takes packets, of whichever version.
    fn xdp_takes_packets(&self) -> Result<bool, KernelError> {
        let Some(attached) = self.pins.attached(pins::LINK_XDP)? else { return Ok(false) };
        Ok(attached.ifindex != 0 && program(attached.program).name != programs::PASS)
    }

    /// Where [`DataPlane::attach`] is to attach from now on: the interface came back under another index, or another one
    /// stands in for it. The links that are there stay until others take their place.
    pub fn move_to(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
    }

    /// True when what a predecessor attached is still on this interface, as it is now.
    pub fn is_attached(&self) -> Result<bool, KernelError> {
        let pins = self.linked();
        Ok(pins.is_attached(pins::LINK_XDP, self.ifindex)?
            || pins.is_attached(pins::LINK_TCX, self.ifindex)?)
    }

    /// True until the links of an older layout version have been taken over.
    pub fn is_upgrade(&self) -> bool {
        self.older.is_some()
    }

    /// Loads the program of a mode, so that the verifier's word is known before anything changes.
    pub fn verify(&mut self, mode: Mode) -> Result<(), KernelError> {
        self.programs.verify(mode)
    }

    /// Attaches a program that lets everything pass to an interface, unless one of ours is there: most drivers transmit XDP
    /// frames only while they have one. True when it was attached now: some cards then set up their link anew.
    pub fn hold(&mut self, ifindex: u32) -> Result<bool, KernelError> {
        let link = self.holding(ifindex);
        self.programs.hold(&self.pins, ifindex, &link)
    }

    /// Is one of our programs on the interface?
    pub fn holds(&self, ifindex: u32) -> bool {
        self.linked().is_attached(&self.holding(ifindex), ifindex).unwrap_or(false)
    }

    /// True while XDP is on the interface attached to, be it to let everything pass.
    pub fn holds_main(&self) -> bool {
        self.holds(self.ifindex)
    }

    /// Takes the program off an egress interface.
    pub fn let_go(&self, ifindex: u32) -> Result<(), KernelError> {
        match ifindex == self.ifindex {
            true => links::remove_link(&self.pins, pins::LINK_XDP),
            false => links::remove_link(&self.pins, &Pins::holder(ifindex)),
        }
    }

    /// Where the links are: not here yet while an older layout version is taken over from.
    fn linked(&self) -> &Pins {
        self.older.as_ref().filter(|_| !self.pins.has_link()).unwrap_or(&self.pins)
    }

    fn holding(&self, ifindex: u32) -> String {
        if ifindex == self.ifindex { pins::LINK_XDP.to_owned() } else { Pins::holder(ifindex) }
    }

    /// The programs that see a packet before ours, in tc.
    pub fn before_ours(&self) -> Result<Vec<Known>, KernelError> {
        match self.mode {
            Mode::Tc => before_ours(&self.pins, self.ifindex),
            Mode::Xdp | Mode::Userspace => Ok(Vec::new()),
        }
    }

    /// Removes what a start made that came to nothing. What a predecessor attached stays; `fresh`: there was none.
    pub fn withdraw(&self, fresh: bool) -> Result<(), KernelError> {
        match self.pins.older().is_empty() {
            true if fresh => self.pins.remove().map(drop),
            false if !self.pins.has_link() => self.pins.remove_version(),
            _ => Ok(()),
        }
    }
}
