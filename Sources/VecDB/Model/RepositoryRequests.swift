import VecDBBlockStore

/// What a run asked of an object store, each attempt counted: the store charges by these.
public struct RepositoryRequests: Sendable, Hashable, Codable {
  /// Objects put, and conditional puts that were refused.
  public var puts: Int
  public var gets: Int
  /// Pages of lists, of at most 1,000 objects each.
  public var lists: Int
  public var deletes: Int
  /// Of those above, how many repeated one that had failed.
  public var repeats: Int
  /// Bytes of objects, without headers.
  public var bytesSent: Int
  public var bytesReceived: Int

  init(_ counts: RequestCounts) {
    puts = counts.puts
    gets = counts.gets
    lists = counts.lists
    deletes = counts.deletes
    repeats = counts.repeats
    bytesSent = counts.bytesSent
    bytesReceived = counts.bytesReceived
  }
}
