import VecDBBytes
import VecDBLogStore

/// What the engine tells whoever ships its log, and asks of it. All but the completion is called
/// on the writer and must not wait.
package protocol ReplicationHooks: AnyObject, Sendable {
  /// These frames are durable here, and not applied yet.
  func committed(_ frames: [LogFrame])
  /// Everything through here is searchable.
  func published(_ position: LogPosition, dataDigest: Digest)
  /// Calls back once: with nil when the write may be acknowledged, else with the error that its
  /// caller gets.
  func whenAcknowledged(_ lsn: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void)
  /// Why this node may not write at this moment, whatever it is; nil if it may.
  var refusal: VecDBError? { get }
  /// Log after this LSN is still wanted by followers; nil if none is.
  func neededLSN(_ log: WriteAheadLog) -> UInt64?
}
