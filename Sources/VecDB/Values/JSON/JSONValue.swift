/// Any JSON value, for the small messages of the control socket and the command.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number written without a point and an exponent that fits.
  case integer(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  /// Members in the order of the text; no name comes twice.
  case object([Member])

  package struct Member: Sendable, Equatable {
    package var name: String
    package var value: JSONValue

    package init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Reads one value, which must be the whole text.
  ///
  /// - Throws: ``JSONFailure`` with the position, also for nesting beyond `JSONScanner.depthMax`.
  package init(parsing bytes: UnsafeRawBufferPointer) throws {
    var scanner = JSONScanner(bytes)
    self = try scanner.value(depth: 1)
    try scanner.expectEnd()
  }

  /// Reads one value from a string.
  package init(parsing text: String) throws {
    var text = text
    self = try text.withUTF8 { try JSONValue(parsing: UnsafeRawBufferPointer($0)) }
  }

  /// A member of an object; nil if there is none of that name, or this is not an object.
  package subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// The string, nil if this is not one.
  package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  /// The integer, nil if this is not one.
  package var integerValue: Int64? { if case .integer(let value) = self { value } else { nil } }
  /// The truth value, nil if this is not one.
  package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The elements, nil if this is not an array.
  package var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  /// The number, integers converted; nil if this is not one.
  package var doubleValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }
}

extension JSONScanner {
  /// Reads any value. `depth` is 1 for the outermost.
  fileprivate mutating func value(depth: Int) throws -> JSONValue {
    guard depth <= JSONScanner.depthMax else {
      throw failure("arrays and objects nested deeper than \(JSONScanner.depthMax)")
    }
    switch peek() {
    case UInt8(ascii: "{"):
      var members: [JSONValue.Member] = []
      var names: Set<String> = []
      try object { name, offset, scanner in
        guard names.insert(name).inserted else { throw scanner.duplicate(name, at: offset) }
        members.append(.init(name: name, value: try scanner.value(depth: depth + 1)))
      }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try array { elements.append(try $0.value(depth: depth + 1)) }
      return .array(elements)
    default:
      switch try scalar() {
      case .null: return .null
      case .bool(let value): return .bool(value)
      case .integer(let value): return .integer(value)
      case .double(let value): return .double(value)
      case .string(let value): return .string(value)
      case .array: throw expected("a value")
      }
    }
  }
}

extension JSONScanner {
  /// Reads a text that is one array of numbers, such as the argument of `--vector`.
  ///
  /// - Throws: ``JSONFailure`` with the position.
  package static func vector(parsing text: String) throws -> [Float] {
    var text = text
    return try text.withUTF8 {
      var scanner = JSONScanner(UnsafeRawBufferPointer($0))
      var vector: [Float] = []
      try scanner.vector(into: &vector)
      try scanner.expectEnd()
      return vector
    }
  }
}

extension JSONWriter {
  /// Writes any value; members in their order.
  package mutating func write(_ value: JSONValue) {
    switch value {
    case .null: writeNull()
    case .bool(let value): write(value)
    case .integer(let value): write(value)
    case .double(let value): write(value)
    case .string(let value): write(value)
    case .array(let elements):
      beginArray()
      for element in elements { write(element) }
      endArray()
    case .object(let members):
      beginObject()
      for member in members {
        name(member.name)
        write(member.value)
      }
      endObject()
    }
  }
}
