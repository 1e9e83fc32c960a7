/// What a database did when it found that a repository has another history of the same epoch.
public struct BranchReport: Sendable, Hashable, Codable {
  /// The last LSN that both histories provably share.
  public var commonLSN: UInt64
  /// The last LSN of the other history in the repository.
  public var otherLSN: UInt64
  /// The epoch in which this database writes from now on.
  public var epoch: UInt64
}
