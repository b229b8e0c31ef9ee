//! Calendars over as many seeds as you have time for: `cargo run -p simulation --example calendars -- FIRST COUNT`.
//! One seed alone tells its story.
use simulation::calendar::machine::play;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let (first, count) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(2_000));
    for seed in first..first + count {
        let story = play(seed).await;
        if count == 1 {
            println!("{}", story.join("\n"));
        }
    }
    println!("{count} seeds from {first} on came into step");
}
