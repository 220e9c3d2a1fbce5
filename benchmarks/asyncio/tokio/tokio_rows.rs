//! tokio_rows ROW: prints the figure of tokio for a row of benchmarks/asyncio, in its unit; the work is that of
//! work.hpp, on its runtime of one thread, in a task. tokio_rows echo: an echo server, which prints its port.

use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::{spawn, yield_now, JoinHandle};

const TASKS_ONE_BY_ONE: u64 = 1_000_000;
const BATCHES: u64 = 1_000;
const CALLS: u64 = 10_000_000;
const YIELDS: u64 = 1_000_000;
const MESSAGES: u64 = 1_000_000;

fn each(from: Instant, count: u64) -> f64 {
    from.elapsed().as_nanos() as f64 / count as f64
}

async fn value(number: u64) -> u64 {
    unsafe { std::ptr::read_volatile(&number) } // or the compiler makes one addition of all calls
}

async fn spawn_one() -> f64 {
    let mut figure = 0.0;
    for _ in 0..2 {
        let from = Instant::now();
        let mut sum = 0;
        for _ in 0..TASKS_ONE_BY_ONE {
            sum += spawn(value(1)).await.unwrap();
        }
        figure = each(from, TASKS_ONE_BY_ONE);
        assert_eq!(sum, TASKS_ONE_BY_ONE);
    }
    figure
}

async fn spawn_then_await(count: u64, passes: u64) -> f64 {
    let mut figure = 0.0;
    let mut tasks: Vec<JoinHandle<u64>> = Vec::with_capacity(count as usize);
    for _ in 0..2 {
        let from = Instant::now();
        let mut sum = 0;
        for _ in 0..passes {
            for _ in 0..count {
                tasks.push(spawn(value(1)));
            }
            for task in tasks.drain(..) {
                sum += task.await.unwrap();
            }
        }
        figure = each(from, count * passes);
        assert_eq!(sum, count * passes);
    }
    figure
}

async fn call() -> f64 {
    let mut figure = 0.0;
    for _ in 0..2 {
        let from = Instant::now();
        let mut sum = 0;
        for _ in 0..CALLS {
            sum += value(1).await;
        }
        figure = each(from, CALLS);
        assert_eq!(sum, CALLS);
    }
    figure
}

async fn yield_often() {
    for _ in 0..YIELDS {
        yield_now().await;
    }
}

async fn yields() -> f64 {
    let mut figure = 0.0;
    for _ in 0..2 {
        let from = Instant::now();
        let first = spawn(yield_often());
        let second = spawn(yield_often());
        first.await.unwrap();
        second.await.unwrap();
        figure = each(from, 2 * YIELDS);
    }
    figure
}

async fn queue() -> f64 {
    let mut figure = 0.0;
    for _ in 0..2 {
        let from = Instant::now();
        let (to, mut between) = mpsc::channel(1);
        spawn(async move {
            for i in 0..MESSAGES {
                to.send(i).await.unwrap();
            }
        });
        let mut sum = 0;
        for _ in 0..MESSAGES {
            sum += between.recv().await.unwrap();
        }
        figure = each(from, MESSAGES);
        assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
    }
    figure
}

async fn queue_pingpong() -> f64 {
    let mut figure = 0.0;
    for _ in 0..2 {
        let from = Instant::now();
        let (to_there, mut there) = mpsc::channel(1);
        let (to_back, mut back) = mpsc::channel(1);
        spawn(async move {
            for _ in 0..MESSAGES / 2 {
                let got: u64 = there.recv().await.unwrap();
                to_back.send(got + 1).await.unwrap();
            }
        });
        let mut last = 0;
        for _ in 0..MESSAGES / 2 {
            to_there.send(last).await.unwrap();
            last = back.recv().await.unwrap();
        }
        figure = each(from, MESSAGES);
        assert_eq!(last, MESSAGES / 2);
    }
    figure
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The time of this thread, which is the only one.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Bytes for each, and ms of CPU for all.
async fn sleepers(count: u64) -> (f64, f64) {
    let memory = resident_bytes();
    let cpu = cpu_ms();
    let mut tasks = Vec::with_capacity(count as usize);
    for number in 0..count {
        let micros = 1_000_000 + number * 7_919 % 9_000_000;
        tasks.push(spawn(tokio::time::sleep(Duration::from_micros(micros))));
    }
    yield_now().await;
    let memory = resident_bytes() - memory;
    for task in tasks {
        task.await.unwrap();
    }
    (memory as f64 / count as f64, cpu_ms() - cpu)
}

async fn echo() -> f64 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        spawn(async move {
            let mut buffer = vec![0; 65536];
            loop {
                let count = connection.read(&mut buffer).await.unwrap_or(0);
                if count == 0 || connection.write_all(&buffer[..count]).await.is_err() {
                    return; // the client is through
                }
            }
        });
    }
}

async fn figure_of(row: String) -> f64 {
    match row.as_str() {
        "spawn_one" => spawn_one().await,
        "spawn_1000" => spawn_then_await(1_000, BATCHES).await,
        "spawn_1M" => spawn_then_await(1_000_000, 1).await,
        "call" => call().await,
        "yield" => yields().await,
        "queue" => queue().await,
        "queue_pingpong" => queue_pingpong().await,
        "sleepers_100k" => sleepers(100_000).await.0,
        "sleepers_100k_cpu" => sleepers(100_000).await.1,
        "sleepers_1M" => sleepers(1_000_000).await.0,
        "sleepers_1M_cpu" => sleepers(1_000_000).await.1,
        "echo" => echo().await,
        _ => panic!("there is no row {row}"),
    }
}

fn main() {
    let row = std::env::args().nth(1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{}", runtime.block_on(async { spawn(figure_of(row)).await.unwrap() }));
}
