//! A judge of the kernel data planes: what goes in, what must become of it, and whether it did.

pub mod court;
pub mod generator;
pub mod predicate;
