import FoundationEssentials

/// A moment as metadata and filters know it: exact to the nanosecond, and text in the form of
/// RFC 3339.
///
/// Metadata stores it as text, such as `2024-05-01T12:00:00Z`. A filter compares moments, not texts:
/// `2024-05-01T14:00:00+02:00` is the same one.
///
/// ```swift
/// let record: Metadata = ["published": try Instant(parsing: "2024-05-01").metadataValue]
/// let filter = Field("published") >= Date(timeIntervalSinceNow: -86_400)
/// ```
public struct Instant: Sendable, Hashable, Comparable {
  /// Whole seconds since the beginning of 1970 in UTC, rounded down.
  public let seconds: Int64
  /// 0 to 999,999,999, after `seconds`.
  public let nanoseconds: Int

  private init(seconds: Int64, nanoseconds: Int) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// The moment of a `Date`, to the nearest nanosecond: a `Date` of today is no more exact. What lies
  /// before the year 0 or after the year 9999 becomes the first or the last moment between, and what is
  /// no number the beginning of 2001.
  public init(_ date: Date) {
    // Since 2001, as a `Date` holds it: of another time it would be less exact.
    let time = date.timeIntervalSinceReferenceDate
    let limits = Double(Self.first - Self.reference)...Double(Self.last - Self.reference)
    let bounded = time.isNaN ? 0 : Swift.min(Swift.max(time, limits.lowerBound), limits.upperBound)
    let whole = bounded.rounded(.down)
    let nanoseconds = Int(((bounded - whole) * 1e9).rounded())
    self.init(
      seconds: Int64(whole) + Self.reference + (nanoseconds == 1_000_000_000 ? 1 : 0),
      nanoseconds: nanoseconds % 1_000_000_000)
  }

  /// The moment as a `Date`.
  public var date: Date {
    Date(
      timeIntervalSinceReferenceDate: Double(seconds - Self.reference) + Double(nanoseconds) / 1e9)
  }

  /// Reads a date such as `2024-05-01`, which is its midnight in UTC, or a time of it such as
  /// `2024-05-01T12:00:00.25+02:00`. A space may stand for the `T`. Without an offset the time is UTC.
  /// Digits after the nanoseconds count for nothing.
  ///
  /// - Throws: ``VecDBError`` with the code `invalidArgument` for anything else, and for days and times
  ///   that there are not, such as a second 60.
  public init(parsing text: String) throws {
    var text = text
    guard let instant = text.withUTF8({ Instant(utf8: UnsafeRawBufferPointer($0)) }) else {
      throw VecDBError(
        .invalidArgument, "'\(text.abbreviated)' is not a date",
        remedy: "Write it like 2024-05-01 or 2024-05-01T12:00:00Z.")
    }
    self = instant
  }

  public static func < (left: Instant, right: Instant) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }

  /// The beginning of 2001.
  private static let reference: Int64 = 978_307_200
  // Of the years 0 and 9999.
  fileprivate static let first: Int64 = -62_167_219_200
  fileprivate static let last: Int64 = 253_402_300_799
}

extension Instant: CustomStringConvertible {
  /// As `2024-05-01T12:00:00Z`; with as many digits of the second as the moment needs.
  public var description: String {
    let day = Int(seconds.flooredQuotient(by: 86_400))
    let rest = Int(seconds) - day * 86_400
    let (year, month, dayOfMonth) = Self.civil(day)
    var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))T"
    text += "\(padded(rest / 3_600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))"
    if nanoseconds > 0 {
      var digits = padded(nanoseconds, 9)
      while digits.hasSuffix("0") { digits.removeLast() }
      text += "." + digits
    }
    return text + "Z"
  }

  private func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}

extension Instant: MetadataConvertible {
  /// As text.
  public var metadataValue: MetadataValue { .string(description) }
}

extension Date: MetadataConvertible {
  /// As the text of an ``Instant``.
  public var metadataValue: MetadataValue { Instant(self).metadataValue }
}

// MARK: Reading

extension Instant {
  /// Nil for what is not a moment as `init(parsing:)` reads it.
  init?(utf8: UnsafeRawBufferPointer) {
    // The shortest and the longest that make sense: most strings are told by that.
    guard (10...64).contains(utf8.count) else { return nil }
    var reader = InstantReader(utf8: utf8)
    guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2),
      reader.skip("-"), let day = reader.number(2), (1...12).contains(month),
      (1...Self.days(of: month, in: year)).contains(day)
    else { return nil }
    var seconds = Int64(Self.days(year, month, day)) * 86_400
    guard !reader.isAtEnd else {
      self.init(seconds: seconds, nanoseconds: 0)
      return
    }
    guard reader.skip("T") || reader.skip("t") || reader.skip(" "), let hour = reader.number(2),
      reader.skip(":"), let minute = reader.number(2), reader.skip(":"),
      let second = reader.number(2), hour < 24, minute < 60, second < 60
    else { return nil }
    seconds += Int64(hour * 3_600 + minute * 60 + second)
    var nanoseconds = 0
    if reader.skip(".") {
      guard let fraction = reader.fraction() else { return nil }
      nanoseconds = fraction
    }
    if !reader.isAtEnd, !reader.skip("Z"), !reader.skip("z") {
      let isWest = reader.skip("-")
      guard isWest || reader.skip("+"), let hours = reader.number(2), reader.skip(":"),
        let minutes = reader.number(2), hours < 24, minutes < 60
      else { return nil }
      seconds -= Int64((isWest ? -1 : 1) * (hours * 60 + minutes) * 60)
    }
    guard reader.isAtEnd, (Self.first...Self.last).contains(seconds) else { return nil }
    self.init(seconds: seconds, nanoseconds: nanoseconds)
  }

  private static func days(of month: Int, in year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from the first of 1970 to a day of the Gregorian calendar: years begin in March, so that the
  /// leap day is the last of a year.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let era = shifted.flooredQuotient(by: 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = shifted.flooredQuotient(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month,
      dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }
}

private struct InstantReader {
  let utf8: UnsafeRawBufferPointer
  private var offset = 0

  init(utf8: UnsafeRawBufferPointer) { self.utf8 = utf8 }

  var isAtEnd: Bool { offset == utf8.count }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard offset < utf8.count, utf8[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  /// So many digits.
  mutating func number(_ digits: Int) -> Int? {
    guard utf8.count - offset >= digits else { return nil }
    var number = 0
    for _ in 0..<digits {
      guard let digit = digit() else { return nil }
      number = number * 10 + digit
    }
    return number
  }

  /// Digits after the point, at least one, as nanoseconds.
  mutating func fraction() -> Int? {
    guard var number = digit() else { return nil }
    var unit = 100_000_000
    number *= unit
    while let digit = digit() {
      unit /= 10
      number += digit * unit
    }
    return number
  }

  private mutating func digit() -> Int? {
    guard offset < utf8.count, (0x30...0x39).contains(utf8[offset]) else { return nil }
    defer { offset += 1 }
    return Int(utf8[offset] - 0x30)
  }
}

extension BinaryInteger {
  fileprivate func flooredQuotient(by divisor: Self) -> Self {
    let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
    return rest < 0 ? quotient - 1 : quotient
  }
}
