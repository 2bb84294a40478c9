//! One viewer: a stream's packets become its own.
