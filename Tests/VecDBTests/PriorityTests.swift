import Dispatch
import Glibc
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBThreads

/// Threads keep the priority of whoever made them: what others wait for must not be made by the
/// threads of backups and rebuilds, which have a low one.
@Suite struct PriorityTests {
  private static func niceness() -> Int32 {
    getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
  }

  @Test func workGivenByAYieldingThreadDoesNotYield() throws {
    let thread = SerialThread(name: "test")
    let seen = Guarded<(given: Int32, done: Int32)?>(nil)
    let done = DispatchSemaphore(value: 0)
    try LowPriorityThread.perform(1) {
      let given = Self.niceness()
      thread.async {
        seen.withLock { $0 = (given, Self.niceness()) }
        done.signal()
      }
    }
    done.wait()
    let (given, own) = try #require(seen.withLock { $0 })
    #expect(given == 19)
    #expect(own == Self.niceness())
  }

  @Test func workIsDoneInOrderAndToTheEnd() async {
    let order = Guarded<[Int]>([])
    await withCheckedContinuation { continuation in
      var thread: SerialThread? = SerialThread(name: "test")
      for number in 0..<100 {
        thread?.async {
          order.withLock { $0.append(number) }
          if number == 99 { continuation.resume() }
        }
      }
      // What was given before still runs.
      thread = nil
    }
    #expect(order.withLock { $0 } == Array(0..<100))
  }

  @Test func waitingReturnsWhenTheWorkIsDone() {
    let thread = SerialThread(name: "test")
    // Often, since the thread lets go of the work only after it has told that it is done.
    for number in 0..<20_000 {
      let seen = Guarded(0)
      thread.wait { seen.withLock { $0 = number } }
      #expect(seen.withLock { $0 } == number)
    }
  }
}
