//! Calendars: random edits on both sides, series and exceptions in four zones, with everything that can fail failing.
use simulation::calendar::machine::play;

#[tokio::test]
async fn appointments_edited_on_both_sides_come_into_step() {
    for seed in 0..50 {
        play(seed).await;
    }
}
