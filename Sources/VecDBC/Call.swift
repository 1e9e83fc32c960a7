// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import Dispatch
import Glibc
import Synchronization
import VecDB
import VecDBBytes

public typealias ErrorResult = UnsafeMutablePointer<UnsafeMutablePointer<vecdb_error>?>
public typealias TextResult = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

/// What every call does: it notices a fork, turns what is thrown into an error object, and waits for
/// asynchronous work.
enum Call {
  /// The process that called first. Threads do not survive a fork, and locks that one of them held
  /// stay locked, so a child must be stopped before it takes any.
  private static let owner = getpid()

  static func run(_ error: ErrorResult?, _ body: () throws -> Void) -> vecdb_code {
    do {
      try requireOwner()
      try body()
      return vecdb_code(VECDB_OK)
    } catch let thrown {
      let failure: VecDBError
      if let known = thrown as? VecDBError {
        failure = known
      } else if thrown is CancellationError {
        failure = VecDBError(.cancelled, "the operation was cancelled")
      } else {
        failure = VecDBError(.inputOutput, "\(thrown)")
      }
      error?.pointee = Failure.object(failure)
      return Failure.number(of: failure.code)
    }
  }

  /// Whether this process may use the library.
  static var isOwner: Bool { getpid() == owner }

  private static func requireOwner() throws {
    guard isOwner else {
      throw VecDBError(
        Failure.forked, "process \(owner) used vecdb before it forked this process",
        at: "process \(getpid())",
        remedy: "Open databases after the fork, or start processes by exec (in Python: spawn).")
    }
  }

  /// Runs asynchronous work elsewhere, and blocks this thread until it is done.
  static func wait<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let result = Guarded<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let task = Task.detached {
      let outcome: Result<Value, any Error>
      do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
      result.withLock { $0 = outcome }
      done.signal()
    }
    // The hook is read each time, since a program that ends removes it while calls still wait.
    var isDone = false
    var isAsked = false
    while !isDone, !isAsked, let hook = WaitHook.current {
      isDone =
        done.wait(timeout: .now() + .milliseconds(WaitHook.intervalMilliseconds)) == .success
      if !isDone, hook.wantsEnd() {
        // The work ends as soon as it can.
        isAsked = true
        task.cancel()
      }
    }
    if !isDone { done.wait() }
    guard let outcome = result.withLock({ $0 }) else {
      throw VecDBError(.inputOutput, "the operation ended without a result")
    }
    return try outcome.get()
  }
}

/// What `vecdb_set_wait_hook` set.
struct WaitHook: Sendable {
  static let intervalMilliseconds = 50

  private static let shared = Guarded<WaitHook?>(nil)
  /// Most programs have none; then no call takes the lock.
  private static let isSet = Atomic(false)

  typealias Function = @convention(c) (UnsafeMutableRawPointer?) -> Int32

  private let function: Function
  /// The pointer, which is only passed on.
  private let context: UInt

  init(_ function: @escaping Function, _ context: UnsafeMutableRawPointer?) {
    self.function = function
    self.context = UInt(bitPattern: context)
  }

  static var current: WaitHook? {
    isSet.load(ordering: .acquiring) ? shared.withLock { $0 } : nil
  }

  static func set(_ hook: WaitHook?) {
    shared.withLock { $0 = hook }
    isSet.store(hook != nil, ordering: .releasing)
  }

  func wantsEnd() -> Bool { function(UnsafeMutableRawPointer(bitPattern: context)) != 0 }
}

/// Asks the hook between the parts of long work on the calling thread.
struct WaitHookTimer {
  private let hook = WaitHook.current
  private var asked = DispatchTime.now()

  mutating func check() throws {
    guard let hook else { return }
    let now = DispatchTime.now()
    guard
      now.uptimeNanoseconds &- asked.uptimeNanoseconds
        >= UInt64(WaitHook.intervalMilliseconds) * 1_000_000
    else { return }
    asked = now
    if hook.wantsEnd() { throw VecDBError(.cancelled, "the call was asked to stop") }
  }
}

@c @implementation
public func vecdb_abi_version() -> UInt32 { 0x0001_0001 }

@c @implementation
public func vecdb_set_wait_hook(
  _ hook: (@convention(c) (UnsafeMutableRawPointer?) -> Int32)?,
  _ context: UnsafeMutableRawPointer?
) {
  WaitHook.set(hook.map { WaitHook($0, context) })
}
