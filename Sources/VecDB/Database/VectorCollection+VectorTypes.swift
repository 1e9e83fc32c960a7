extension VectorCollection {
  #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
    /// As ``search(_:k:options:)-([Float],_,_)`` with a query in half precision.
    public func search(
      float16 vector: [Float16], k: Int = 10, options: SearchOptions = SearchOptions()
    ) throws -> SearchResult {
      try search(vector.map { Float($0) }, k: k, options: options)
    }
  #endif

  /// As ``search(_:k:options:)-([Float],_,_)`` with a query of whole numbers.
  public func search(
    int8 vector: [Int8], k: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try search(vector.map { Float($0) }, k: k, options: options)
  }

  /// As ``search(_:k:options:)-([Float],_,_)`` with a binary query, packed as in
  /// ``VectorRecord/init(key:bits:metadata:)``.
  public func search(
    bits: [UInt8], k: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try search(PackedBits.unpack(bits), k: k, options: options)
  }
}
