import VecDBIndex

extension VectorCollection {
  /// The size of each array of the collection's index, and how much of it is in this process's
  /// memory; the rest stays in files until a search or write reads it.
  ///
  /// Checks every page of the index, which takes about a microsecond per megabyte. You can call it
  /// from any thread.
  ///
  /// - Throws: ``VecDBError`` `closed`.
  public func memory() throws -> [ArrayMemory] {
    try VecDBError.translating {
      try requireUsable()
      return runtime.index.arrayUse.map {
        ArrayMemory(name: $0.name, bytes: $0.bytes, residentBytes: $0.residentBytes)
      }
    }
  }
}

/// Memory of one array of a collection's index.
public struct ArrayMemory: Sendable, Hashable, Codable {
  /// The name in <doc:FileFormats>: codes, links, exact (the float32 vectors), and so on.
  public var name: String
  /// Bytes in use.
  public var bytes: Int
  /// Bytes in this process's memory; the others stay in files until a search or write reads them.
  /// Nil if the system does not tell.
  public var residentBytes: Int?
}
