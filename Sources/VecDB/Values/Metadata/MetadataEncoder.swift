extension Metadata {
  /// The fields of a Swift value: each of its members becomes a field.
  ///
  /// Members may be booleans, integers that fit `Int64`, finite floating-point numbers, strings,
  /// arrays of these, and anything that encodes itself as one of them (an enumeration with raw
  /// values, a `UUID`). A `Date` becomes the text of an ``Instant``. A member that is nil is left out by
  /// the compiler's `encode(to:)`.
  ///
  /// - Throws: ``VecDBError`` with code `.invalidArgument` naming the member, if one holds an
  ///   object or an array of arrays, or if the value is not an object with named members.
  public init<Value: Encodable>(encoding value: Value) throws {
    let sink = FieldSink()
    do {
      try value.encode(to: FieldEncoder(sink: sink, codingPath: []))
    } catch let EncodingError.invalidValue(_, context) {
      throw VecDBError(
        .invalidArgument, context.debugDescription, at: context.codingPath.fieldPath)
    }
    sink.resolve()
    if let refusal = sink.refusal { throw refusal }
    guard case .fields(let fields) = sink.content else {
      throw VecDBError(
        .invalidArgument, "\(Value.self) does not encode as an object with named members")
    }
    for (name, value) in fields {
      if let trouble = value.trouble {
        throw VecDBError(
          .invalidArgument, trouble, at: "field \(name)", remedy: Metadata.valueRemedy)
      }
    }
    self.init(fields)
  }
}

/// Where an encoder's containers put what they are given: the object itself, or one member.
private final class FieldSink {
  enum Content {
    case nothing
    case fields([String: MetadataValue])
    case value(MetadataValue)
  }

  var content = Content.nothing
  /// The first nested object or array that was asked for. Asking cannot throw, so it is kept.
  var refusal: VecDBError?
  /// Members that were asked for as containers, and are complete only when the object is.
  private var members: [(name: String, sink: FieldSink)] = []

  func refuse(_ what: String, at path: [any CodingKey]) {
    guard refusal == nil else { return }
    refusal = VecDBError(
      .invalidArgument, "\(what); metadata holds scalars and arrays of scalars",
      at: path.fieldPath, remedy: "Flatten it, or encode it as a string.")
  }

  func set(_ value: MetadataValue, forField name: String) {
    var fields: [String: MetadataValue] = [:]
    if case .fields(let present) = content { fields = present }
    content = .nothing  // so that the dictionary is not copied
    fields[name] = value
    content = .fields(fields)
  }

  func addMember(_ name: String) -> FieldSink {
    let member = FieldSink()
    members.append((name, member))
    return member
  }

  /// Moves the members that were written through containers of their own into the object.
  func resolve() {
    for (name, member) in members {
      if let refusal = member.refusal { self.refusal = self.refusal ?? refusal }
      if case .value(let value) = member.content { set(value, forField: name) }
    }
    members = []
  }

  func append(_ value: MetadataValue) {
    var elements: [MetadataValue] = []
    if case .value(.array(let present)) = content { elements = present }
    content = .nothing
    elements.append(value)
    content = .value(.array(elements))
  }
}

/// Encodes the object, when `codingPath` is empty, or one member or element of it.
private struct FieldEncoder: Encoder {
  let sink: FieldSink
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if !codingPath.isEmpty { sink.refuse("an object within a field", at: codingPath) }
    if case .nothing = sink.content { sink.content = .fields([:]) }
    return KeyedEncodingContainer(KeyedFields<Key>(sink: sink, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .nothing = sink.content { sink.content = .value(.array([])) }
    return ArrayElements(sink: sink, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer {
    BareValue(sink: sink, codingPath: codingPath)
  }
}

extension FieldSink {
  /// What one member or element encodes itself as, nil if that was refused.
  fileprivate func convert(
    _ value: some Encodable, at path: [any CodingKey]
  ) throws -> MetadataValue? {
    switch value {
    case let value as any MetadataConvertible: return value.metadataValue
    case let value as any BinaryInteger: return try convert(integer: value, at: path)
    default: break
    }
    let sink = FieldSink()
    try value.encode(to: FieldEncoder(sink: sink, codingPath: path))
    if let refusal = sink.refusal {
      self.refusal = self.refusal ?? refusal
      return nil
    }
    if case .value(let encoded) = sink.content { return encoded }
    refuse("a member that is not a scalar", at: path)
    return nil
  }

  fileprivate func convert(
    integer: some BinaryInteger, at path: [any CodingKey]
  ) throws -> MetadataValue {
    guard let value = Int64(exactly: integer) else {
      throw EncodingError.invalidValue(
        integer,
        .init(codingPath: path, debugDescription: "\(integer) does not fit a 64-bit integer"))
    }
    return .integer(value)
  }
}

private struct KeyedFields<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let sink: FieldSink
  let codingPath: [any CodingKey]

  mutating func encodeNil(forKey key: Key) { sink.set(.null, forField: key.stringValue) }

  mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    guard let value = try sink.convert(value, at: codingPath + [key]) else { return }
    sink.set(value, forField: key.stringValue)
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> {
    sink.refuse("an object within a field", at: codingPath + [key])
    return KeyedEncodingContainer(
      KeyedFields<Nested>(sink: FieldSink(), codingPath: codingPath + [key]))
  }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    let path = codingPath + [key]
    return FieldEncoder(sink: sink.addMember(key.stringValue), codingPath: path).unkeyedContainer()
  }

  mutating func superEncoder() -> any Encoder {
    sink.refuse("a superclass that encodes as a member", at: codingPath)
    return FieldEncoder(sink: FieldSink(), codingPath: codingPath)
  }

  mutating func superEncoder(forKey key: Key) -> any Encoder {
    FieldEncoder(sink: sink.addMember(key.stringValue), codingPath: codingPath + [key])
  }
}

private struct ArrayElements: UnkeyedEncodingContainer {
  let sink: FieldSink
  let codingPath: [any CodingKey]

  var count: Int {
    if case .value(.array(let elements)) = sink.content { elements.count } else { 0 }
  }

  mutating func encodeNil() { sink.append(.null) }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    guard let value = try sink.convert(value, at: codingPath) else { return }
    sink.append(value)
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) -> KeyedEncodingContainer<Nested> {
    sink.refuse("an object within an array", at: codingPath)
    return KeyedEncodingContainer(KeyedFields<Nested>(sink: FieldSink(), codingPath: codingPath))
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    sink.refuse("an array within an array", at: codingPath)
    return ArrayElements(sink: FieldSink(), codingPath: codingPath)
  }

  mutating func superEncoder() -> any Encoder {
    sink.refuse("a superclass within an array", at: codingPath)
    return FieldEncoder(sink: FieldSink(), codingPath: codingPath)
  }
}

private struct BareValue: SingleValueEncodingContainer {
  let sink: FieldSink
  let codingPath: [any CodingKey]

  mutating func encodeNil() { sink.content = .value(.null) }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    let isScalar = value is any MetadataConvertible || value is any BinaryInteger
    if codingPath.isEmpty && !isScalar {
      // The object itself within a wrapper: a raw value, or a type that encodes a dictionary.
      try value.encode(to: FieldEncoder(sink: sink, codingPath: codingPath))
    } else if let value = try sink.convert(value, at: codingPath) {
      sink.content = .value(value)
    }
  }
}

extension [any CodingKey] {
  /// The path as text: `author.name`.
  var fieldPath: String {
    isEmpty ? "" : "field \(map(\.stringValue).joined(separator: "."))"
  }
}
