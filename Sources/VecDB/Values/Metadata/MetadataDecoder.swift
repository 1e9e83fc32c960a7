import FoundationEssentials

extension Metadata {
  /// Makes a Swift value from the fields: each of its members is read from the field of its name.
  ///
  /// A field that is missing or null gives nil to an optional member. An integer is given to any
  /// integer or floating-point type that holds it exactly, a double to any floating-point type
  /// (rounded, if that is narrower). A `Date` is read from the text of an ``Instant``, and from a number of
  /// seconds since 2001, which version 0.1 stored. Fields that the type does not ask for are ignored.
  ///
  /// - Throws: ``VecDBError`` with code `.invalidArgument`, naming the field, if one is missing or
  ///   of another type. Errors that the type's own `init(from:)` throws are passed on.
  public func decode<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value {
    do {
      return try Value(from: FieldDecoder(source: .object(self), codingPath: []))
    } catch let error as DecodingError {
      throw VecDBError(error, decoding: "\(Value.self)")
    }
  }
}

extension VecDBError {
  init(_ error: DecodingError, decoding type: String) {
    let (message, path): (String, [any CodingKey]) =
      switch error {
      case .keyNotFound(let key, let context):
        ("the field is missing", context.codingPath + [key])
      case .valueNotFound(_, let context), .typeMismatch(_, let context),
        .dataCorrupted(let context):
        (context.debugDescription, context.codingPath)
      @unknown default: ("\(error)", [])
      }
    self.init(
      .invalidArgument, "metadata does not decode as \(type): \(message)", at: path.fieldPath)
  }
}

/// Decodes the object, one field of it, or one element of a field.
private struct FieldDecoder: Decoder {
  enum Source {
    case object(Metadata)
    case value(MetadataValue)
  }

  let source: Source
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let metadata) = source else {
      throw mismatch([String: MetadataValue].self, "an object was expected")
    }
    return KeyedDecodingContainer(KeyedFields<Key>(metadata: metadata, codingPath: codingPath))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .value(.array(let elements)) = source else {
      throw mismatch([MetadataValue].self, "an array was expected")
    }
    return ArrayElements(elements: elements, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { BareValue(decoder: self) }

  func mismatch(_ type: Any.Type, _ what: String) -> DecodingError {
    let found =
      switch source {
      case .object: "an object"
      case .value(let value): value.kind
      }
    return .typeMismatch(
      type, .init(codingPath: codingPath, debugDescription: "\(what), found \(found)"))
  }

  /// Reads the source as one of the types that have no `init(from:)` to ask, or asks that.
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    guard case .value(let value) = source else {
      return try Value(from: self)
    }
    if type == MetadataValue.self, let value = value as? Value { return value }
    switch value {
    case .bool(let value):
      if let value = value as? Value { return value }
    case .string(let value):
      if let value = value as? Value { return value }
      if type == Date.self, let date = try? Instant(parsing: value).date, let date = date as? Value
      {
        return date
      }
    case .integer(let value):
      if let type = type as? any FixedWidthInteger.Type {
        if let value = type.init(exactly: value) as? Value { return value }
        throw mismatch(type, "\(type) does not hold \(value)")
      }
      if let type = type as? any BinaryFloatingPoint.Type {
        if let value = type.init(exactly: value) as? Value { return value }
        throw mismatch(type, "\(type) does not hold \(value) exactly")
      }
    case .double(let value):
      if type == Double.self, let value = value as? Value { return value }
      if let type = type as? any BinaryFloatingPoint.Type,
        let value = type.init(value) as? Value
      {
        return value
      }
    case .null, .array: break
    }
    if type is any ScalarDecodable.Type { throw mismatch(type, "\(type) was expected") }
    return try Value(from: self)
  }
}

/// The types whose `init(from:)` would only ask the decoder again.
private protocol ScalarDecodable {}
extension Bool: ScalarDecodable {}
extension String: ScalarDecodable {}
extension Double: ScalarDecodable {}
extension Float: ScalarDecodable {}
extension Int: ScalarDecodable {}
extension Int8: ScalarDecodable {}
extension Int16: ScalarDecodable {}
extension Int32: ScalarDecodable {}
extension Int64: ScalarDecodable {}
extension UInt: ScalarDecodable {}
extension UInt8: ScalarDecodable {}
extension UInt16: ScalarDecodable {}
extension UInt32: ScalarDecodable {}
extension UInt64: ScalarDecodable {}

private struct KeyedFields<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let metadata: Metadata
  let codingPath: [any CodingKey]

  var allKeys: [Key] { metadata.fields.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { metadata.fields[key.stringValue] != nil }

  private func decoder(forKey key: Key) throws -> FieldDecoder {
    guard let value = metadata.fields[key.stringValue] else {
      throw DecodingError.keyNotFound(
        key, .init(codingPath: codingPath, debugDescription: "the field is missing"))
    }
    return FieldDecoder(source: .value(value), codingPath: codingPath + [key])
  }

  func decodeNil(forKey key: Key) throws -> Bool { metadata.fields[key.stringValue] == .null }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try decoder(forKey: key).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    try decoder(forKey: key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try decoder(forKey: key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder {
    FieldDecoder(source: .object(metadata), codingPath: codingPath)
  }

  func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(forKey: key) }
}

private struct ArrayElements: UnkeyedDecodingContainer {
  let elements: [MetadataValue]
  let codingPath: [any CodingKey]
  private(set) var currentIndex = 0

  init(elements: [MetadataValue], codingPath: [any CodingKey]) {
    self.elements = elements
    self.codingPath = codingPath
  }

  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex >= elements.count }

  private func current() throws -> FieldDecoder {
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        MetadataValue.self,
        .init(codingPath: codingPath, debugDescription: "the array has too few elements"))
    }
    return FieldDecoder(source: .value(elements[currentIndex]), codingPath: codingPath)
  }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd, elements[currentIndex].isNull else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try current().decode(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    try current().container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try current().unkeyedContainer()
  }

  mutating func superDecoder() throws -> any Decoder {
    let decoder = try current()
    currentIndex += 1
    return decoder
  }
}

private struct BareValue: SingleValueDecodingContainer {
  let decoder: FieldDecoder
  var codingPath: [any CodingKey] { decoder.codingPath }

  func decodeNil() -> Bool {
    if case .value(.null) = decoder.source { true } else { false }
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try decoder.decode(type)
  }
}

extension MetadataValue {
  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .double: "a floating-point number"
    case .string: "a string"
    case .array: "an array"
    }
  }
}
