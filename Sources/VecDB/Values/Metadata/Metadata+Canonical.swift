import VecDBBytes

// The stored form. Little-endian throughout; equal metadata, and only equal metadata, has equal
// bytes: fields are in order of their names' bytes, numbers have one width, there is no padding.
//
//   metadata   version u8 = 1, field count u16, then that many fields
//   field      name length u16 (1...256), name (UTF-8), value length u32, value
//   value      tag u8, then by tag:
//                0 null     nothing
//                1 false    nothing
//                2 true     nothing
//                3 integer  Int64
//                4 double   IEEE 754 bits of a finite number, never those of -0.0
//                5 string   UTF-8 up to the end of the value
//                6 array    element count u32, then each: length u32, value (tags 0...5 only)
//
// Names are in strictly ascending order of their bytes, a name before every longer one that it
// begins.

/// The stored form of ``Metadata``.
package enum CanonicalMetadata {
  /// The version that is written and the only one that is read.
  package static let version: UInt8 = 1

  /// Calls `body` for every field in stored order with its name's UTF-8 and its value's bytes,
  /// without building anything; columns are filled from this. The slices end with the call.
  ///
  /// Structure, order and lengths are checked on the way. Values are checked when something
  /// reads them (`CanonicalValue`).
  package static func forEachField(
    in bytes: UnsafeRawBufferPointer,
    _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var reader = ByteReader(bytes)
    let version = try reading { try reader.read(UInt8.self, "metadata version") }
    guard version == Self.version else {
      throw VecDBError(
        .unknownVersion, "metadata of format version \(version)",
        remedy: "Use the version of vecdb that wrote it, or a later one.")
    }
    let count = try reading { try reader.read(UInt16.self, "metadata field count") }
    guard count <= Metadata.fieldCountMax else { throw corrupt("metadata field count") }
    var previous = UnsafeRawBufferPointer(start: nil, count: 0)
    for _ in 0..<count {
      let (name, value) = try reading {
        let nameSize = Int(try reader.read(UInt16.self, "field name length"))
        let name = try reader.readRaw(count: nameSize, "field name")
        return (name, try reader.readCounted(maximum: Metadata.sizeBytesMax, "field value"))
      }
      guard name.count <= Metadata.fieldNameSizeBytesMax, previous.precedes(name) else {
        throw corrupt("order of metadata fields")
      }
      previous = name
      try body(name, value)
    }
    try reading { try reader.expectEnd("end of metadata") }
  }

  /// The stored value of one field, nil if it is missing.
  package static func value(
    ofField name: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer
  ) throws -> UnsafeRawBufferPointer? {
    var found: UnsafeRawBufferPointer?
    try forEachField(in: bytes) { if $0.hasSameBytes(as: name) { found = $1 } }
    return found
  }

  static func corrupt(_ what: String) -> VecDBError {
    VecDBError(.corrupt, "damaged metadata: bad \(what)", remedy: "Restore it from a backup.")
  }

  private static func reading<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch let failure as ByteReader.Failure {
      throw corrupt("\(failure)")
    }
  }
}

extension Metadata {
  /// Checks every limit of metadata, as each write does.
  ///
  /// - Throws: ``VecDBError`` with code `.invalidArgument` or `.limitExceeded`, naming the field.
  public func validate() throws { _ = try canonicalBytes() }

  /// The stored form, in which equal metadata has equal bytes.
  ///
  /// - Throws: ``VecDBError``: `.invalidArgument` for a value or name that cannot be stored,
  ///   `.limitExceeded` for too many fields or bytes.
  package func canonicalBytes() throws -> [UInt8] {
    guard fields.count <= Metadata.fieldCountMax else {
      throw VecDBError(
        .limitExceeded, "\(fields.count) metadata fields, more than \(Metadata.fieldCountMax)",
        remedy: "Store fewer fields, or keep the document elsewhere under the record's key.")
    }
    var sorted: [(name: [UInt8], value: MetadataValue)] = []
    sorted.reserveCapacity(fields.count)
    for (name, value) in fields { sorted.append((Array(name.utf8), value)) }
    sorted.sort { left, right in
      left.name.withUnsafeBytes { a in right.name.withUnsafeBytes { a.precedes($0) } }
    }
    var writer = ByteWriter(reservingCapacity: 16 + 32 * sorted.count)
    writer.write(CanonicalMetadata.version)
    writer.write(UInt16(sorted.count))
    for (name, value) in sorted {
      guard (1...Metadata.fieldNameSizeBytesMax).contains(name.count) else {
        throw VecDBError(
          .invalidArgument, "a field name of \(name.count) bytes",
          at: String(decoding: name.prefix(32), as: UTF8.self),
          remedy: "Use 1 to \(Metadata.fieldNameSizeBytesMax) bytes of UTF-8.")
      }
      if let trouble = value.trouble {
        throw VecDBError(
          .invalidArgument, trouble, at: "field \(String(decoding: name, as: UTF8.self))",
          remedy: Metadata.valueRemedy)
      }
      writer.write(UInt16(name.count))
      writer.write(raw: name)
      writer.write(UInt32(value.canonicalSizeBytes))
      value.appendCanonicalBytes(to: &writer)
      guard writer.count <= Metadata.sizeBytesMax else {
        throw VecDBError(
          .limitExceeded, "metadata larger than \(Metadata.sizeBytesMax) bytes",
          at: "field \(String(decoding: name, as: UTF8.self))",
          remedy: "Keep the document elsewhere under the record's key.")
      }
    }
    return writer.bytes
  }

  /// Reads the stored form. Input that ``canonicalBytes()`` could not have written is refused:
  /// `.unknownVersion` for another version, `.corrupt` for everything else.
  package init(canonicalBytes bytes: UnsafeRawBufferPointer) throws {
    guard bytes.count <= Metadata.sizeBytesMax else {
      throw CanonicalMetadata.corrupt("metadata length")
    }
    fields = [:]
    try CanonicalMetadata.forEachField(in: bytes) { name, value in
      guard let name = String(validating: name, as: UTF8.self) else {
        throw CanonicalMetadata.corrupt("UTF-8 in a field name")
      }
      let value = try MetadataValue(canonicalBytes: value)
      guard fields.updateValue(value, forKey: name) == nil else {
        throw CanonicalMetadata.corrupt("field name, two spellings of one text")
      }
    }
  }

  /// Reads the stored form from an array.
  package init(canonicalBytes bytes: [UInt8]) throws {
    self = try bytes.withUnsafeBytes { try Metadata(canonicalBytes: $0) }
  }
}

extension MetadataValue {
  /// Reads one stored value; `.corrupt` if the bytes are not exactly one.
  package init(canonicalBytes bytes: UnsafeRawBufferPointer) throws {
    guard let value = CanonicalValue(bytes), let owned = MetadataValue(value) else {
      throw CanonicalMetadata.corrupt("field value")
    }
    self = owned
  }

  /// The stored form of this value alone, as `CanonicalMetadata.forEachField` hands it out.
  /// What cannot be stored (see `trouble`) gives bytes that no reader accepts.
  package var canonicalBytes: [UInt8] {
    var writer = ByteWriter(reservingCapacity: canonicalSizeBytes)
    appendCanonicalBytes(to: &writer)
    return writer.bytes
  }

  /// Why this value cannot be stored, nil if it can.
  var trouble: String? {
    switch self {
    case .null, .bool, .integer, .string: return nil
    case .double(let value): return value.isFinite ? nil : "\(value) is not a number JSON can hold"
    case .array(let elements):
      for element in elements {
        if case .array = element { return "an array within an array; only scalars are stored" }
        if let trouble = element.trouble { return trouble }
      }
      return nil
    }
  }

  /// The size of the stored form in bytes.
  var canonicalSizeBytes: Int {
    switch self {
    case .null, .bool: 1
    case .integer, .double: 9
    case .string(let value): 1 + value.utf8.count
    case .array(let elements): elements.reduce(5) { $0 + 4 + $1.canonicalSizeBytes }
    }
  }

  func appendCanonicalBytes(to writer: inout ByteWriter) {
    switch self {
    case .null: writer.write(CanonicalValue.Tag.null.rawValue)
    case .bool(let value):
      writer.write((value ? CanonicalValue.Tag.true : .false).rawValue)
    case .integer(let value):
      writer.write(CanonicalValue.Tag.integer.rawValue)
      writer.write(value)
    case .double(let value):
      writer.write(CanonicalValue.Tag.double.rawValue)
      writer.write(value.storedBitPattern)
    case .string(let value):
      writer.write(CanonicalValue.Tag.string.rawValue)
      writer.write(raw: value.utf8)
    case .array(let elements):
      writer.write(CanonicalValue.Tag.array.rawValue)
      writer.write(UInt32(clamping: elements.count))
      for element in elements {
        writer.write(UInt32(clamping: element.canonicalSizeBytes))
        element.appendCanonicalBytes(to: &writer)
      }
    }
  }
}
