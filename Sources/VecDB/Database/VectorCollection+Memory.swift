import VecDBIndex

extension VectorCollection {
  /// What each array of the collection's index takes, and how much of it is in this process's
  /// memory; the rest is in files until something asks for it.
  ///
  /// Looks at every page of the index, a microsecond for a megabyte or so; from any thread.
  ///
  /// - Throws: ``VecDBError`` `closed`.
  public func memory() throws -> [ArrayMemory] {
    try requireUsable()
    return runtime.index.arrayUse.map {
      ArrayMemory(name: $0.name, bytes: $0.bytes, residentBytes: $0.residentBytes)
    }
  }
}

/// Memory of one array of a collection's index.
public struct ArrayMemory: Sendable, Hashable, Codable {
  /// As in the article on file formats: codes, links, exact (the float32 vectors), and so on.
  public var name: String
  /// Bytes in use.
  public var bytes: Int
  /// Those of them that are in this process's memory; the others are in files until something asks
  /// for them. Nil where the system does not tell.
  public var residentBytes: Int?
}
