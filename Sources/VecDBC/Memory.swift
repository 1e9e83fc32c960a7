// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import FoundationEssentials
import Glibc
import VecDB

/// Memory that C code frees.
enum Memory {
  /// A copy of the text that ends with a NUL; nil without memory.
  static func text(_ value: String) -> UnsafeMutablePointer<CChar>? {
    var value = value
    return value.withUTF8 { bytes in
      array(of: CChar.self, bytes.count + 1) { copy in
        _ = bytes.withMemoryRebound(to: CChar.self) { copy.update(fromContentsOf: $0) }
        copy[bytes.count] = 0
      }
    }
  }

  /// A copy of the elements; never nil for none, so that C code may tell it from an array that is not
  /// there.
  static func array<Element: BitwiseCopyable>(
    _ elements: [Element]
  ) throws -> UnsafeMutablePointer<Element> {
    let copy = array(of: Element.self, max(1, elements.count)) { copy in
      _ = copy.update(fromContentsOf: elements)
    }
    guard let copy else { throw exhausted }
    return copy
  }

  static func array<Element: BitwiseCopyable>(
    of _: Element.Type, _ count: Int, _ fill: (UnsafeMutableBufferPointer<Element>) -> Void
  ) -> UnsafeMutablePointer<Element>? {
    guard let bytes = calloc(count, MemoryLayout<Element>.stride) else { return nil }
    let start = bytes.bindMemory(to: Element.self, capacity: count)
    fill(UnsafeMutableBufferPointer(start: start, count: count))
    return start
  }

  static var exhausted: VecDBError {
    VecDBError(
      .limitExceeded, "there is no memory for the result", remedy: "Ask for fewer records at once.")
  }

  /// Stores the value as JSON with sorted names.
  static func store(
    _ value: some Encodable, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
    _ length: UnsafeMutablePointer<Int>?
  ) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let text = String(decoding: try encoder.encode(value), as: UTF8.self)
    if let json {
      guard let copy = Memory.text(text) else { throw exhausted }
      json.pointee = copy
    }
    length?.pointee = text.utf8.count
  }
}

@c @implementation
public func vecdb_error_free(_ error: UnsafeMutablePointer<vecdb_error>?) {
  if let error { Failure.release(error) }
}

@c @implementation
public func vecdb_text_free(_ text: UnsafeMutablePointer<CChar>?) { free(text) }

@c @implementation
public func vecdb_rows_free(_ rows: UnsafeMutablePointer<vecdb_rows>?) {
  if let rows { Rows.release(rows) }
}
