// go_rows ROW: prints the figure of Go for a row of benchmarks/asyncio, in its unit; the work is that of work.hpp, on
// one processor. go_rows echo: an echo server, which prints its port.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	tasksOneByOne = 1_000_000
	batches       = 1_000
	calls         = 10_000_000
	yields        = 1_000_000
	messages      = 1_000_000
)

func check(isRight bool, what string) {
	if !isRight {
		panic("wrong result: " + what)
	}
}

// twice is for what is done once before it is measured.
func twice(count int, work func()) float64 {
	var took time.Duration
	for pass := 0; pass < 2; pass++ {
		from := time.Now()
		work()
		took = time.Since(from)
	}
	return float64(took.Nanoseconds()) / float64(count)
}

func spawnOne() float64 {
	return twice(tasksOneByOne, func() {
		sum := 0
		for i := 0; i < tasksOneByOne; i++ {
			result := make(chan int, 1)
			go func() { result <- 1 }()
			sum += <-result
		}
		check(sum == tasksOneByOne, "a result")
	})
}

func spawnThenAwait(count, passes int) float64 {
	results := make([]int, count)
	return twice(count*passes, func() {
		sum := 0
		for pass := 0; pass < passes; pass++ {
			var all sync.WaitGroup
			all.Add(count)
			for i := 0; i < count; i++ {
				go func(into *int) {
					*into = 1
					all.Done()
				}(&results[i])
			}
			all.Wait()
			for i := range results {
				sum += results[i]
				results[i] = 0
			}
		}
		check(sum == count*passes, "a result")
	})
}

//go:noinline
func value(number int) int { return number }

func call() float64 {
	return twice(calls, func() {
		sum := 0
		for i := 0; i < calls; i++ {
			sum += value(1)
		}
		check(sum == calls, "a result")
	})
}

func yield() float64 {
	return twice(2*yields, func() {
		var both sync.WaitGroup
		both.Add(2)
		for task := 0; task < 2; task++ {
			go func() {
				for i := 0; i < yields; i++ {
					runtime.Gosched()
				}
				both.Done()
			}()
		}
		both.Wait()
	})
}

func queue() float64 {
	return twice(messages, func() {
		between := make(chan int, 1)
		go func() {
			for i := 0; i < messages; i++ {
				between <- i
			}
		}()
		sum := 0
		for i := 0; i < messages; i++ {
			sum += <-between
		}
		check(sum == messages*(messages-1)/2, "the sum of the messages")
	})
}

func queuePingpong() float64 {
	return twice(messages, func() {
		there, back := make(chan int, 1), make(chan int, 1)
		go func() {
			for i := 0; i < messages/2; i++ {
				back <- <-there + 1
			}
		}()
		last := 0
		for i := 0; i < messages/2; i++ {
			there <- last
			last = <-back
		}
		check(last == messages/2, "the last answer")
	})
}

func residentBytes() int {
	text, err := os.ReadFile("/proc/self/statm")
	check(err == nil, "/proc/self/statm")
	var size, resident int
	fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize()
}

func cpuTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// sleepers returns bytes for each, and ms of CPU for all.
func sleepers(count int) (float64, float64) {
	var all, asleep sync.WaitGroup
	all.Add(count)
	asleep.Add(count)
	memory, cpu := residentBytes(), cpuTime()
	for i := 0; i < count; i++ {
		go func(number int) {
			asleep.Done()
			time.Sleep(time.Duration(1_000_000+number*7_919%9_000_000) * time.Microsecond)
			all.Done()
		}(i)
	}
	asleep.Wait()
	runtime.Gosched()
	memory = residentBytes() - memory
	all.Wait()
	return float64(memory) / float64(count), float64((cpuTime() - cpu).Microseconds()) / 1000
}

func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "listening")
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		check(err == nil, "accepting")
		go func() { // Go sets TCP_NODELAY itself
			buffer := make([]byte, 65536)
			for {
				count, err := connection.Read(buffer)
				if err != nil {
					connection.Close()
					return
				}
				connection.Write(buffer[:count])
			}
		}()
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	var figure float64
	switch os.Args[1] {
	case "spawn_one":
		figure = spawnOne()
	case "spawn_1000":
		figure = spawnThenAwait(1_000, batches)
	case "spawn_1M":
		figure = spawnThenAwait(1_000_000, 1)
	case "call":
		figure = call()
	case "yield":
		figure = yield()
	case "queue":
		figure = queue()
	case "queue_pingpong":
		figure = queuePingpong()
	case "sleepers_100k":
		figure, _ = sleepers(100_000)
	case "sleepers_100k_cpu":
		_, figure = sleepers(100_000)
	case "sleepers_1M":
		figure, _ = sleepers(1_000_000)
	case "sleepers_1M_cpu":
		_, figure = sleepers(1_000_000)
	case "echo":
		echo()
	default:
		panic("there is no row " + os.Args[1])
	}
	fmt.Println(figure)
}
