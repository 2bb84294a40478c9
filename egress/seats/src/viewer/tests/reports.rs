//! What a viewer is told of a stream, and what it tells us.

use super::*;

#[test]
fn reports_bring_sound_and_picture_together() {
    let mut world = World::new();
    let mut viewers = [(world.join(PerKind::from_fn(|kind| Some(taken(kind)))), Vec::new())];
    // Sound and picture of one moment come 40 ms apart, and the picture's next packet is held up on its way.
    world.push(Kind::Audio, 0, 480_000, false);
    world.push(Kind::Video, 0, 90_000, true);
    world.now += MS(150);
    world.push(Kind::Audio, 1, 480_000 + 4800, false);
    world.push(Kind::Video, 1, 90_000 + 9000, false);
    world.rounds(&mut viewers);
    world.now += MS(150);
    let [(viewer, _)] = &mut viewers;
    let mut reports = Vec::new();
    viewer.report(&world.streams, at(world.now), |packet| reports.push(packet.to_vec()));
    let reports: Vec<(u32, u64, u32, u32)> = reports
        .iter()
        .map(|packet| {
            let report = rtcp_types::SenderReport::parse(&packet[..28]).unwrap();
            (report.ssrc(), report.ntp_timestamp(), report.rtp_timestamp(), report.packet_count())
        })
        .collect();
    let ntp = at(world.now).ntp.0;
    // 300 ms after the first packet, whatever came when.
    assert_eq!(reports[0].0, 11);
    assert!(
        reports[0].2.abs_diff(480_000 + 14_400) <= 1 && reports[1].2.abs_diff(90_000 + 27_000) <= 1,
        "{reports:?}"
    );
    assert_eq!((reports[0].1, reports[1].1, reports[0].3, reports[1].3), (ntp, ntp, 2, 2));
    let mut again = 0;
    viewer.report(&world.streams, at(world.now + MS(999)), |_| again += 1);
    assert_eq!(again, 0, "one a second");
    viewer.report(&world.streams, at(world.now + MS(1000)), |_| again += 1);
    assert_eq!(again, 2);
}

#[test]
fn figures_are_what_the_viewer_reports() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    world.push(Kind::Video, 0, 0, true);
    world.rounds(&mut viewers);
    let [(viewer, _)] = &mut viewers;
    let sent = at(world.now).ntp;
    world.now += MS(80);
    let block = rtcp_types::ReportBlock::builder(21)
        .cumulative_lost(3)
        .interarrival_jitter(900)
        .last_sender_report_timestamp(sent.middle())
        .delay_since_last_sender_report_timestamp(65_536 / 20);
    let report = rtcp_types::ReceiverReport::builder(1).add_report_block(block);
    let mut bytes = vec![0; report.calculate_size().unwrap()];
    report.write_into(&mut bytes).unwrap();
    world.hears(viewer, &bytes);
    let figures = viewer.figures();
    assert_eq!((figures.lost, figures.jitter), (3, Some(MS(10))));
    let rtt = figures.rtt.unwrap();
    assert!(rtt.abs_diff(MS(30)) < MS(1), "{rtt:?}");
}

#[test]
fn a_viewer_s_state_is_small() {
    // Beside it are a sealer and an opener, with a few contexts of OpenSSL.
    assert!(size_of::<Viewer>() < 1024, "{}", size_of::<Viewer>());
}
