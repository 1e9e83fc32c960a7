/// Times and sizes of a connection between two nodes.
package struct SessionLimits: Sendable {
  package var heartbeatMilliseconds: UInt64 = 500
  /// A peer that says nothing for this long is gone.
  package var silenceMilliseconds: UInt64 = 3_000
  /// A stranger must have said hello by then.
  package var helloMilliseconds: UInt64 = 3_000
  /// Log in one message, at most, unless a single frame is longer.
  package var messageBytes = 1 << 20
  /// Data that may be on its way to a replica that has not committed it.
  package var creditBytes: UInt64 = 16 << 20

  package init() {}
}
