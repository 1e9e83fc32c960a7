import Glibc
import NIOCore
import NIOPosix
import VecDB
import VecDBBytes

/// How many connections this process may have, so that files and logs always find a descriptor.
enum DescriptorBudget {
  /// Kept for the database's files, and for connections that this node opens itself.
  private static let reserve = 24

  /// - Parameters:
  ///   - wanted: without a limit.
  ///   - share: this listener gets one part of so many of what is free.
  static func connections(wanted: Int, share: Int) -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
    let free = Int(clamping: limit.rlim_cur) - used - reserve
    return max(2, min(wanted, free / share))
  }

  private static var used: Int {
    guard let directory = opendir("/proc/self/fd") else { return 32 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
  }
}

/// Bounds the connections of a listener. Where it is full, the oldest of those that have not said
/// who they are makes way; peers that are known stay.
final class ConnectionLimiter: Sendable {
  private struct State {
    var open = 0
    /// In the order in which they came.
    var strangers: [any Channel] = []
  }

  private let maximum: Int
  private let state = Guarded(State())

  init(maximum: Int) { self.maximum = maximum }

  /// Takes a connection in; false if there is no room even now.
  func admit(_ channel: any Channel) -> Bool {
    let (isAdmitted, leaving) = state.withLock { state -> (Bool, (any Channel)?) in
      let isFull = state.open >= maximum
      let leaving = isFull && !state.strangers.isEmpty ? state.strangers.removeFirst() : nil
      // Those that make way keep their descriptors for a moment.
      guard !isFull || leaving != nil && state.open < maximum + 2 else { return (false, leaving) }
      state.open += 1
      state.strangers.append(channel)
      return (true, leaving)
    }
    leaving?.close(promise: nil)
    guard isAdmitted else { return false }
    channel.closeFuture.whenComplete { [weak self] _ in
      self?.state.withLock { state in
        state.open -= 1
        state.strangers.removeAll { $0 === channel }
      }
    }
    return true
  }

  func confirm(_ channel: any Channel) {
    state.withLock { $0.strangers.removeAll { $0 === channel } }
  }
}

/// Turns connections away before anything is made for them.
final class AcceptGate: ChannelInboundHandler, Sendable {
  typealias InboundIn = any Channel

  private let limiter: ConnectionLimiter

  init(limiter: ConnectionLimiter) { self.limiter = limiter }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let channel = unwrapInboundIn(data)
    guard limiter.admit(channel) else { return channel.close(promise: nil) }
    context.fireChannelRead(data)
  }
}

extension ServerBootstrap {
  /// As `bind`, with an error that says what to do.
  func bind(listening address: NodeAddress) async throws -> any Channel {
    do { return try await bind(host: address.host, port: address.port).get() } catch {
      // NIO's own words name its functions.
      let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      throw VecDBError(
        .inputOutput, "cannot listen there: \(reason)", at: "\(address)",
        remedy: "Choose an address of this host and a port that no other process uses.")
    }
  }
}
