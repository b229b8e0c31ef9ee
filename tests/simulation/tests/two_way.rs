//! Both ways: random edits on both sides, with everything that can fail failing.
use simulation::machine::play;

#[tokio::test]
async fn two_thousand_worlds_edited_on_both_sides_come_into_step() {
    for seed in 0..2_000 {
        play(seed).await;
    }
}
