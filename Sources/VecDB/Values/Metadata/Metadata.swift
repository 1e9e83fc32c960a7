/// The fields of a record beside its vector: names with JSON scalars or arrays of scalars.
///
/// ```swift
/// var metadata: Metadata = ["title": "Ode", "year": 1819]
/// metadata["tags"] = ["poem", "autumn"]
/// let book = try metadata.decode(as: Book.self)       // any Decodable with flat fields
/// let other = try Metadata(encoding: book)            // any Encodable with flat fields
/// ```
///
/// The limits below are checked when a record is written, not when the value is built; call
/// ``validate()`` to check them earlier. Metadata is stored in a canonical form, so that equal
/// metadata has equal bytes on every machine.
public struct Metadata: Sendable {
  /// Most bytes of UTF-8 in a field's name. A name has at least one.
  public static let fieldNameSizeBytesMax = 256
  /// Most fields of one record.
  public static let fieldCountMax = 1024
  /// Most bytes that one record's metadata may take in its stored form.
  public static let sizeBytesMax = 1 << 20

  static let valueRemedy =
    "Use null, booleans, finite numbers, strings, and arrays of these."

  /// The fields by name.
  public var fields: [String: MetadataValue]

  /// No fields.
  public init() { fields = [:] }

  /// The given fields.
  public init(_ fields: [String: MetadataValue]) { self.fields = fields }

  /// The value of a field, nil if the record does not have it. A field that is there and holds
  /// null gives ``MetadataValue/null``. Assigning nil removes the field; assign `.null` to keep it
  /// and empty it.
  public subscript(name: String) -> MetadataValue? {
    get { fields[name] }
    set { fields[name] = newValue }
  }

  /// The given fields, from Swift values: `Metadata(values: ["year": year, "seen": Date.now])`.
  public init(values: [String: any MetadataConvertible]) {
    fields = values.mapValues(\.metadataValue)
  }

  /// The value of a field as a Swift type; nil if the record does not have the field, or has a value in
  /// it that is none of this type.
  ///
  /// ```swift
  /// let year = metadata["year", as: Int.self]
  /// ```
  public subscript<Value: Decodable>(name: String, as type: Value.Type) -> Value? {
    guard let value = fields[name] else { return nil }
    return try? Metadata(["value": value]).decode(as: OneField<Value>.self).value
  }

  private struct OneField<Value: Decodable>: Decodable { var value: Value }

  /// Whether there are no fields.
  public var isEmpty: Bool { fields.isEmpty }

  /// The value of the field whose name is exactly these bytes.
  func value(ofField name: String) -> MetadataValue? {
    guard let index = fields.index(forKey: name), fields[index].key.hasSameBytes(as: name) else {
      return nil
    }
    return fields[index].value
  }
}

extension Metadata: ExpressibleByDictionaryLiteral {
  /// The given fields. Of a name that is given twice, the last value counts.
  public init(dictionaryLiteral elements: (String, MetadataValue)...) {
    fields = Dictionary(elements, uniquingKeysWith: { _, last in last })
  }
}

extension Metadata: Hashable {
  /// Whether both are stored as the same bytes.
  public static func == (left: Metadata, right: Metadata) -> Bool {
    guard left.fields.count == right.fields.count else { return false }
    return left.fields.allSatisfy { right.value(ofField: $0.key) == $0.value }
  }

  public func hash(into hasher: inout Hasher) {
    // Fields have no order, so their hashes are combined by a sum.
    var sum = 0
    for (name, value) in fields {
      var field = hasher
      field.combine(utf8Of: name)
      field.combine(value)
      sum = sum &+ field.finalize()
    }
    hasher.combine(fields.count)
    hasher.combine(sum)
  }
}

extension Metadata: CustomStringConvertible {
  /// The metadata as one line of JSON, its fields in order of their names.
  public var description: String {
    var writer = JSONWriter()
    writer.write(self)
    return writer.text
  }
}
