import VecDBBytes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A stored metadata value, read in place: nothing is copied, and the bytes must outlive it.
/// (The layout is in `Metadata+Canonical.swift`.)
package enum CanonicalValue {
  /// The first byte of a stored value.
  enum Tag: UInt8 {
    case null = 0
    case `false` = 1
    case `true` = 2
    case integer = 3
    case double = 4
    case string = 5
    case array = 6
  }

  case null
  case bool(Bool)
  case integer(Int64)
  case double(Double)
  /// UTF-8, not yet validated.
  case string(UnsafeRawBufferPointer)
  case array(Elements)

  /// The value that these bytes are, nil if they are not exactly one value that metadata may
  /// hold. Cost: constant, except for arrays, whose elements are all checked.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first, let tag = Tag(rawValue: first) else { return nil }
    let payload = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    switch tag {
    case .null, .false, .true:
      guard payload.isEmpty else { return nil }
      self = tag == .null ? .null : .bool(tag == .true)
    case .integer:
      guard payload.count == 8 else { return nil }
      self = .integer(Int64(littleEndian: payload.loadUnaligned(as: Int64.self)))
    case .double:
      guard payload.count == 8 else { return nil }
      let bits = UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
      let value = Double(bitPattern: bits)
      guard value.isFinite, bits == value.storedBitPattern else { return nil }
      self = .double(value)
    case .string: self = .string(payload)
    case .array:
      guard let elements = Elements(payload) else { return nil }
      self = .array(elements)
    }
  }

  /// The elements of a stored array, all known to be well formed scalars.
  package struct Elements: Sequence {
    package let count: Int
    private let bytes: UnsafeRawBufferPointer

    fileprivate init?(_ payload: UnsafeRawBufferPointer) {
      guard payload.count >= 4 else { return nil }
      count = Int(UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)))
      bytes = UnsafeRawBufferPointer(rebasing: payload.dropFirst(4))
      var iterator = makeIterator()
      var found = 0
      while let element = iterator.next() {
        if case .array = element { return nil }
        found += 1
      }
      guard found == count, iterator.isAtEnd else { return nil }
    }

    package func makeIterator() -> Iterator { Iterator(rest: bytes) }

    /// Ends at the end of the bytes, or at the first thing that is not a value.
    package struct Iterator: IteratorProtocol {
      fileprivate var rest: UnsafeRawBufferPointer
      fileprivate var isAtEnd: Bool { rest.isEmpty }

      package mutating func next() -> CanonicalValue? {
        guard rest.count >= 4 else { return nil }
        let size = Int(UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self)))
        guard size <= rest.count - 4 else { return nil }
        let element = UnsafeRawBufferPointer(rebasing: rest[4..<4 + size])
        // A nested array is refused by its tag alone, so that depth cannot cost anything.
        guard element.first != Tag.array.rawValue, let value = CanonicalValue(element) else {
          return nil
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[(4 + size)...])
        return value
      }
    }
  }
}

extension MetadataValue {
  /// A copy of a stored value, nil if a string in it is not UTF-8.
  package init?(_ value: CanonicalValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .double(let value): self = .double(value)
    case .string(let bytes):
      guard let string = String(validating: bytes, as: UTF8.self) else { return nil }
      self = .string(string)
    case .array(let elements):
      var owned: [MetadataValue] = []
      owned.reserveCapacity(elements.count)
      for element in elements {
        guard let element = MetadataValue(element) else { return nil }
        owned.append(element)
      }
      self = .array(owned)
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether both hold the same bytes.
  func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
    count == other.count && compare(other) == 0
  }

  /// Whether these bytes come before the others, and are not equal to them.
  func precedes(_ other: UnsafeRawBufferPointer) -> Bool { compare(other) < 0 }

  /// Negative, zero or positive: the order of bytes as unsigned numbers, a shorter sequence before
  /// a longer one that it begins.
  func compare(_ other: UnsafeRawBufferPointer) -> Int {
    let shared = Swift.min(count, other.count)
    if shared > 0, let a = baseAddress, let b = other.baseAddress {
      let order = memcmp(a, b, shared)
      if order != 0 { return Int(order) }
    }
    return count - other.count
  }
}
