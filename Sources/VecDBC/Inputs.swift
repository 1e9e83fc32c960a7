import CVecDB
import VecDB

/// What C code passes, checked before anything is done with it.
enum Inputs {
  /// The text; nil for NULL of no bytes.
  static func optionalText(
    _ bytes: UnsafePointer<CChar>?, _ length: Int, _ name: String
  ) throws -> String? {
    guard length >= 0 else {
      throw Failure.argument("the length of \(name) is too large", at: name)
    }
    guard let bytes else {
      guard length == 0 else {
        throw Failure.argument("\(name) is NULL and has \(length) bytes", at: name)
      }
      return nil
    }
    return try text(UnsafeRawBufferPointer(start: bytes, count: length), name)
  }

  static func text(_ bytes: UnsafePointer<CChar>?, _ length: Int, _ name: String) throws -> String {
    guard let text = try optionalText(bytes, length, name) else {
      throw Failure.argument("\(name) is NULL", at: name, remedy: "Pass a text.")
    }
    return text
  }

  private static func text(_ bytes: UnsafeRawBufferPointer, _ name: String) throws -> String {
    guard let text = String(validating: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    else { throw Failure.argument("\(name) is not UTF-8", at: name) }
    return text
  }

  static func filter(_ bytes: UnsafePointer<CChar>?, _ length: Int) throws -> Filter? {
    try optionalText(bytes, length, "filter").map { try Filter(parsing: $0) }
  }

  /// The texts of a list: bytes and `count + 1` offsets.
  static func texts(
    _ count: Int, _ bytes: UnsafePointer<CChar>?, _ length: Int,
    _ offsets: UnsafePointer<UInt64>?, _ name: String
  ) throws -> [String] {
    try requireCount(count, name)
    guard count > 0 else { return [] }
    guard let offsets else { throw Failure.argument("the offsets of \(name) are NULL", at: name) }
    guard length >= 0, bytes != nil || length == 0 else {
      throw Failure.argument("\(name) is NULL and has \(length) bytes", at: name)
    }
    let all = UnsafeRawBufferPointer(start: bytes, count: length)
    return try (0..<count).map { place in
      guard offsets[place] <= offsets[place + 1], offsets[place + 1] <= UInt64(length) else {
        throw Failure.argument(
          "the offsets \(offsets[place]) and \(offsets[place + 1]) are not within \(length) bytes",
          at: "\(name) \(place)", remedy: "Pass offsets that do not fall.")
      }
      let part = Int(offsets[place])..<Int(offsets[place + 1])
      return try text(UnsafeRawBufferPointer(rebasing: all[part]), "\(name) \(place)")
    }
  }

  static func requireCount(_ count: Int, _ name: String) throws {
    guard count >= 0, count < Int(UInt32.max) else {
      throw Failure.argument("there are \(count) \(name)", at: name, remedy: "Pass fewer at once.")
    }
  }

  static func metadata(_ json: String, ofKey key: String) throws -> Metadata {
    guard !json.isEmpty else { return [:] }
    do { return try Metadata(json: json) } catch let error as VecDBError {
      throw VecDBError(
        error.code, error.message, at: "key '\(key)', \(error.location)", remedy: error.remedy)
    }
  }
}

/// Rows of vectors in the caller's memory.
struct Matrix {
  let count: Int
  private let columns: Int
  private let type: vecdb_type
  private let start: UnsafeRawPointer?

  /// Checks all but the memory itself.
  init(
    _ start: UnsafeRawPointer?, _ type: vecdb_type, count: Int, columns: Int, dimensions: Int,
    _ name: String
  ) throws {
    let stride: Int
    switch Int(type) {
    case VECDB_FLOAT32: stride = 4
    case VECDB_FLOAT16: stride = 2
    case VECDB_INT8, VECDB_BITS: stride = 1
    default:
      throw Failure.argument(
        "\(type) is no type of components", at: name, remedy: "Use a vecdb_type.")
    }
    try Inputs.requireCount(count, name)
    let components =
      Int(type) == VECDB_BITS ? columns.multipliedReportingOverflow(by: 8) : (columns, false)
    guard !components.1, components.0 == dimensions else {
      throw Failure.argument(
        "the \(name) have \(components.0) components; the collection has \(dimensions) dimensions",
        at: name, remedy: "Pass rows of \(dimensions) components.")
    }
    let size = count.multipliedReportingOverflow(by: columns * stride)
    guard !size.overflow else { throw Failure.argument("there are \(count) \(name)", at: name) }
    guard start != nil || count == 0 else {
      throw Failure.argument("the \(name) are NULL", at: name)
    }
    guard UInt(bitPattern: start) % UInt(stride) == 0 else {
      throw Failure.argument(
        "the \(name) are not aligned to \(stride) bytes", at: name,
        remedy: "Copy them to memory that malloc gave.")
    }
    self.start = start
    self.type = type
    self.count = count
    self.columns = columns
  }

  /// Row `place` as floats, without a copy where it has them. There is at least one row.
  func withRow<Value>(_ place: Int, _ body: (Span<Float>) throws -> Value) throws -> Value {
    if Int(type) == VECDB_FLOAT32, let start {
      return try body(
        UnsafeBufferPointer(
          start: start.assumingMemoryBound(to: Float.self) + place * columns, count: columns
        ).span)
    }
    return try body(row(place).span)
  }

  func row(_ place: Int) -> [Float] {
    guard let start else { return [] }
    switch Int(type) {
    case VECDB_FLOAT16: return elements(start, Float16.self, place).map { Float($0) }
    case VECDB_INT8: return elements(start, Int8.self, place).map { Float($0) }
    case VECDB_BITS: return PackedBits.unpack(Array(elements(start, UInt8.self, place)))
    default: return Array(elements(start, Float.self, place))
    }
  }

  private func elements<Element>(
    _ start: UnsafeRawPointer, _: Element.Type, _ place: Int
  ) -> UnsafeBufferPointer<Element> {
    UnsafeBufferPointer(
      start: start.assumingMemoryBound(to: Element.self) + place * columns, count: columns)
  }
}
