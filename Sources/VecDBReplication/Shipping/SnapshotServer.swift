import Dispatch
import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// Hands copies of the live database to those that need one, block by block.
///
/// What always holds:
/// - A connection has one snapshot at most, and its hold on the database ends with the connection.
/// - A connection has asked for `waitingMaximum` blocks at most that are not on their way: what a
///   peer asks for does not fill this node's memory.
/// - Blocks are read beside the node's queue, and sent on it.
///
/// On the node's queue.
final class SnapshotServer: @unchecked Sendable {
  private struct Entry {
    var source: SnapshotSource?
    /// Blocks that were asked for and are not on their way yet.
    var waiting = 0
  }

  private static let waitingMaximum = 64
  private let queue: DispatchQueue
  private var entries: [ObjectIdentifier: Entry] = [:]

  init(queue: DispatchQueue) { self.queue = queue }

  /// Makes a snapshot, and says what it has.
  func open(
    _ database: Database, on connection: WireConnection,
    identity: @escaping @Sendable () -> LogIdentity?
  ) {
    let key = ObjectIdentifier(connection)
    guard entries[key] == nil else { return connection.close("the peer asks for two snapshots") }
    entries[key] = Entry()
    Task { [weak self, queue] in
      do {
        let source = try await database.makeSnapshot()
        queue.async { [weak self] in
          guard let self, self.entries[key] != nil, let identity = identity() else { return }
          self.entries[key]?.source = source
          connection.send(.snapshot(.init(manifest: source.manifest.encode(), identity: identity)))
        }
      } catch {
        queue.async { connection.close("cannot make a snapshot: \(error)") }
      }
    }
  }

  func send(_ hashes: [Digest], on connection: WireConnection) {
    let key = ObjectIdentifier(connection)
    guard let source = entries[key]?.source else {
      return connection.close("the peer asked for blocks without a snapshot")
    }
    entries[key]?.waiting += hashes.count
    guard entries[key]?.waiting ?? 0 <= Self.waitingMaximum else {
      return connection.close("the peer asked for too many blocks at once")
    }
    let queue = queue
    DispatchQueue.global(qos: .utility).async {
      for hash in hashes {
        do {
          let bytes = try source.block(hash)
          queue.async {
            connection.send(.block(hash, bytes)) { [weak self] in self?.entries[key]?.waiting -= 1 }
          }
        } catch {
          return queue.async { connection.close("cannot read a block: \(error)") }
        }
      }
    }
  }

  func closed(_ connection: WireConnection) {
    entries.removeValue(forKey: ObjectIdentifier(connection))
  }
}
