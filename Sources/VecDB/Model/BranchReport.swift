/// What a database did when it found that a repository has another history of the same epoch.
public struct BranchReport: Sendable, Hashable, Codable {
  /// The last LSN that both histories share, as far as it can be proven.
  public var commonLSN: UInt64
  /// How far the other history goes in the repository.
  public var otherLSN: UInt64
  /// The epoch that this database writes in from now on.
  public var epoch: UInt64
}
