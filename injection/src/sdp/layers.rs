//! Simulcast (RFC 8853): one picture in several sizes at once. A tree carries one of them, the largest. Janus can be told to
//! pick, and takes the first `a=rid` for the largest; nothing says that clients write it first.

use sdp_types::Media;

use super::lines::{has, values};

/// Sizes that are put in order; Janus takes three.
const MOST_SIZES: usize = 16;

/// Whether there is more than one size: by restriction identifiers, or, as before these, by a group of SSRCs.
pub fn is_simulcast(media: &Media) -> bool {
    sent(media).len() > 1 || values(media, "ssrc-group").any(|group| group.starts_with("SIM "))
}

/// Puts the largest first.
pub fn sort(media: &mut Media) {
    let before = sent(media);
    // Nobody sends so many, and each is compared with all.
    if before.len() > MOST_SIZES {
        return;
    }
    let mut after = before.clone();
    after.sort_by_cached_key(|rid| std::cmp::Reverse(size(media, rid, &before)));
    put(media, &before, &after);
}

/// Puts an answer's sizes in the order in which they were offered.
pub fn restore(answer: &mut Media, offer: &Media) {
    let offered = sent(offer);
    let before = answered(answer);
    let mut after = before.clone();
    after.sort_by_key(|rid| offered.iter().position(|other| other == rid));
    put(answer, &before, &after);
}

/// The identifiers that are sent, as they stand in `a=simulcast:send 0;1;2` (`~`: paused; `,`: instead of each other).
fn sent(media: &Media) -> Vec<String> {
    listed(media, "send")
}

fn answered(media: &Media) -> Vec<String> {
    listed(media, "recv")
}

fn listed(media: &Media, direction: &str) -> Vec<String> {
    let list = values(media, "simulcast").find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.find(|word| *word == direction)?;
        words.next()
    });
    list.map(|list| list.split(';').map(str::to_owned).collect()).unwrap_or_default()
}

/// Writes identifiers in another order: in the list, and the lines that describe them.
fn put(media: &mut Media, before: &[String], after: &[String]) {
    if before == after || !has(media, "simulcast") {
        return;
    }
    let (old, new) = (before.join(";"), after.join(";"));
    for line in media.attributes.iter_mut().filter(|line| line.attribute == "simulcast") {
        line.value = line.value.as_ref().map(|value| value.replacen(&old, &new, 1));
    }
    let is_rid = |name: &str| name == "rid";
    let mut lines: Vec<_> = media.attributes.iter().filter(|line| is_rid(&line.attribute)).cloned().collect();
    let id = |line: &sdp_types::Attribute| {
        let id = line.value.as_deref().and_then(|value| value.split(' ').next()).unwrap_or_default();
        after.iter().position(|rid| names(rid).any(|name| name == id)).unwrap_or(after.len())
    };
    lines.sort_by_key(id);
    let mut lines = lines.into_iter();
    for place in media.attributes.iter_mut().filter(|line| is_rid(&line.attribute)) {
        if let Some(line) = lines.next() {
            *place = line;
        }
    }
}

fn names(rid: &str) -> impl Iterator<Item = &str> {
    rid.split(',').map(|name| name.trim_start_matches('~'))
}

/// How large a size is among its likes, as far as it can be told before it comes. Restrictions say it (RFC 8851 section 5),
/// or names that clients use; without either all are alike, and the first stays first, as browsers and OBS have it.
fn size(media: &Media, rid: &str, all: &[String]) -> u64 {
    let name = names(rid).next().unwrap_or_default();
    restricted(media, name).or_else(|| by_name(name, all)).unwrap_or_default()
}

fn restricted(media: &Media, name: &str) -> Option<u64> {
    let line = values(media, "rid").find(|line| line.split(' ').next() == Some(name))?;
    let limit = |key: &str| super::lines::parameter(line.split_once(" send ")?.1, key)?.parse::<u64>().ok();
    limit("max-width").or_else(|| limit("max-height")).or_else(|| limit("max-fs")).or_else(|| limit("max-br"))
}

fn by_name(name: &str, all: &[String]) -> Option<u64> {
    const WORDS: [&[&str]; 3] = [
        &["q", "quarter", "l", "lo", "low", "s", "small"],
        &["m", "mi", "mid", "med", "medium", "half"],
        &["h", "hi", "high", "f", "full", "large"],
    ];
    let lower = name.to_ascii_lowercase();
    // Beside "quarter" and "full", h is a half.
    let halves = all.iter().any(|other| ["q", "f"].contains(&other.as_str()));
    if halves && lower == "h" {
        return Some(1);
    }
    if let Some(rank) = WORDS.iter().position(|words| words.contains(&lower.as_str())) {
        return Some(rank as u64);
    }
    // 720p; r0, r1, r2 count upwards.
    let number = lower.strip_suffix('p').or_else(|| lower.strip_prefix('r'))?;
    number.parse().ok()
}
