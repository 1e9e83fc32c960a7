/// One line of JSON lines: a record as `import` reads and `export` writes it.
///
///     {"key":"17","vector":[0.5,1,-2.25],"metadata":{"lang":"de","year":1819}}
///
/// A record that expires has a fourth member, `"expiryMilliseconds"`, the time since 1970.
package struct JSONRecord: Sendable, Equatable {
  /// Nil if the line has none: the importer then numbers it.
  package var key: String?
  /// Nil if the line has none, as in a file of metadata for vectors that come from elsewhere.
  package var vector: [Float]?
  /// Nil if the line has none, or null.
  package var metadata: Metadata?
  /// When the record expires, in milliseconds since 1970; nil if it does not.
  package var expiryMilliseconds: Int64?

  package init(
    key: String?, vector: [Float]?, metadata: Metadata?, expiryMilliseconds: Int64? = nil
  ) {
    self.key = key
    self.vector = vector
    self.metadata = metadata
    self.expiryMilliseconds = expiryMilliseconds
  }

  /// Reads one line (a line feed at its end is allowed).
  ///
  /// - Parameters:
  ///   - line: The bytes of the line.
  ///   - dimensions: How many numbers to make room for; not checked.
  /// - Throws: ``JSONFailure`` with the position in the line.
  package init(line: UnsafeRawBufferPointer, dimensions: Int = 0) throws {
    self.init(key: nil, vector: nil, metadata: nil)
    var scanner = JSONScanner(line)
    var hasMetadata = false
    try scanner.object { name, offset, scanner in
      switch name {
      case "key":
        guard key == nil else { throw scanner.duplicate(name, at: offset) }
        guard scanner.peek() == UInt8(ascii: "\"") else {
          throw scanner.expected("the key as a string in quotes")
        }
        key = try scanner.string()
      case "vector":
        guard vector == nil else { throw scanner.duplicate(name, at: offset) }
        var numbers: [Float] = []
        numbers.reserveCapacity(dimensions)
        try scanner.vector(into: &numbers)
        vector = numbers
      case "metadata":
        guard !hasMetadata else { throw scanner.duplicate(name, at: offset) }
        hasMetadata = true
        if scanner.peek() == UInt8(ascii: "n") {
          _ = try scanner.scalar()
        } else {
          metadata = try scanner.metadata()
        }
      case "expiryMilliseconds":
        guard expiryMilliseconds == nil else { throw scanner.duplicate(name, at: offset) }
        expiryMilliseconds = try scanner.int64("the time of expiry")
      default:
        throw scanner.failure(
          "unknown member \"\(name.abbreviated)\"; a record has key, vector and metadata",
          at: offset)
      }
    }
    try scanner.expectEnd()
  }
}

extension JSONScanner {
  /// Deepest nesting of objects within metadata.
  private static let objectDepthMax = 16

  /// Reads an object of scalars, arrays of scalars, and objects of these: a member `name` of an object
  /// `author` becomes the field `author.name`.
  package mutating func metadata() throws -> Metadata {
    var metadata = Metadata()
    try members(into: &metadata, path: "", depth: 1)
    return metadata
  }

  private mutating func members(
    into metadata: inout Metadata, path: String, depth: Int
  ) throws {
    try object { name, offset, scanner in
      guard scanner.peek() != UInt8(ascii: "{") else {
        guard depth < Self.objectDepthMax else {
          throw scanner.failure("objects nested deeper than \(Self.objectDepthMax)")
        }
        return try scanner.members(into: &metadata, path: path + name + ".", depth: depth + 1)
      }
      let value = try scanner.metadataValue()
      guard metadata.fields.updateValue(value, forKey: path + name) == nil else {
        throw scanner.duplicate(path + name, at: offset)
      }
    }
  }

  private mutating func metadataValue() throws -> MetadataValue {
    switch peek() {
    case UInt8(ascii: "["):
      var elements: [MetadataValue] = []
      try array { scanner in
        let next = scanner.peek()
        if next == UInt8(ascii: "[") || next == UInt8(ascii: "{") {
          throw scanner.failure("an array in metadata holds scalars only")
        }
        elements.append(try scanner.scalar())
      }
      return .array(elements)
    default: return try scalar()
    }
  }
}

extension Metadata {
  /// Reads a JSON object of scalars and arrays of scalars. The members of an object within it become
  /// fields of their own: `{"author":{"name":"x"}}` has the field `author.name`.
  ///
  /// Numbers without a point and an exponent become integers, all others doubles. An integer that
  /// does not fit `Int64` is an error.
  ///
  /// - Throws: ``VecDBError`` with code `.invalidArgument` and the position, also for a name that
  ///   comes twice.
  public init(json: String) throws {
    var json = json
    do {
      self = try json.withUTF8 {
        var scanner = JSONScanner(UnsafeRawBufferPointer($0))
        let metadata = try scanner.metadata()
        try scanner.expectEnd()
        return metadata
      }
    } catch let failure as JSONFailure { throw failure.error(in: "metadata") }
  }
}

extension JSONWriter {
  /// Writes a record's line, with its line feed, in the form that ``JSONRecord`` describes.
  /// Metadata is written even when it is empty.
  ///
  /// - Throws: ``VecDBError`` if the stored metadata is damaged; the line is then incomplete.
  package mutating func writeRecord(
    key: String, vector: UnsafeBufferPointer<Float>, canonicalMetadata: UnsafeRawBufferPointer,
    expiryMilliseconds: Int64? = nil
  ) throws {
    beginObject()
    name("key")
    write(key)
    name("vector")
    write(vector: vector)
    name("metadata")
    try write(canonicalMetadata: canonicalMetadata)
    if let expiryMilliseconds {
      name("expiryMilliseconds")
      write(expiryMilliseconds)
    }
    endObject()
    endLine()
  }
}
