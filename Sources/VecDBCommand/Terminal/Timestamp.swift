/// Moments as text: RFC 3339, in UTC and to the millisecond when printed, so that what is printed
/// is the moment that is meant and can be given back.
enum Timestamp {
  private static let dayMilliseconds: Int64 = 86_400_000

  /// Milliseconds since 1970 as `2026-03-31T18:00:00.250Z`; the number itself where the year has not
  /// four digits.
  static func text(_ milliseconds: Int64) -> String {
    let days = Int((Double(milliseconds) / Double(dayMilliseconds)).rounded(.down))
    let (year, month, day) = civil(days)
    guard (0...9999).contains(year) else { return String(milliseconds) }
    // In range, since the year is.
    var rest = Int(milliseconds - Int64(days) * dayMilliseconds)
    func take(_ unit: Int, _ digits: Int) -> String {
      defer { rest %= unit }
      return padded(rest / unit, digits)
    }
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    let hour = take(3_600_000, 2)
    let minute = take(60_000, 2)
    let second = take(1_000, 2)
    return "\(date)T\(hour):\(minute):\(second).\(padded(rest, 3))Z"
  }

  /// A moment as milliseconds since 1970: RFC 3339, where digits behind the third of a second's
  /// fraction are cut off, or the number itself. Nil for anything else: a day, hour or second that
  /// there is not stands for no other.
  static func milliseconds(_ text: String) -> Int64? {
    if !text.isEmpty, text.utf8.allSatisfy({ isDigit($0) }) { return Int64(text) }
    var reader = Reader(bytes: Array(text.utf8))
    guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2),
      reader.skip("-"), let day = reader.number(2), reader.skip("Tt "),
      let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2),
      reader.skip(":"), let second = reader.number(2),
      (1...12).contains(month), (1...days(of: month, year)).contains(day), hour < 24, minute < 60,
      second < 60
    else { return nil }
    var thousandths = 0
    if reader.skip(".") {
      guard let fraction = reader.fraction() else { return nil }
      thousandths = fraction
    }
    var offsetMinutes = 0
    if !reader.skip("Zz") {
      let isWest = reader.skip("-")
      guard isWest || reader.skip("+"), let hours = reader.number(2), reader.skip(":"),
        let minutes = reader.number(2), hours < 24, minutes < 60
      else { return nil }
      offsetMinutes = (isWest ? -1 : 1) * (hours * 60 + minutes)
    }
    guard reader.isAtEnd else { return nil }
    let seconds = (hour * 60 + minute - offsetMinutes) * 60 + second
    return Int64(dayNumber(year, month, day)) * dayMilliseconds
      + Int64(seconds * 1_000 + thousandths)
  }

  private static func padded(_ value: Int, _ digits: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func days(of month: Int, _ year: Int) -> Int {
    if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
    return [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Days since 1970 of a date of the Gregorian calendar. Years are counted from March, so that the
  /// leap day is the last of one.
  private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let marchYear = month > 2 ? year : year - 1
    let era = (marchYear >= 0 ? marchYear : marchYear - 399) / 400
    let yearOfEra = marchYear - era * 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(_ day: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = day + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let part = (5 * dayOfYear + 2) / 153
    let month = part < 10 ? part + 3 : part - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * part + 2) / 5 + 1
    )
  }

  private struct Reader {
    let bytes: [UInt8]
    var offset = 0

    var isAtEnd: Bool { offset == bytes.count }

    /// Exactly so many digits.
    mutating func number(_ digits: Int) -> Int? {
      guard bytes.count - offset >= digits else { return nil }
      var value = 0
      for byte in bytes[offset..<offset + digits] {
        guard isDigit(byte) else { return nil }
        value = value * 10 + Int(byte - UInt8(ascii: "0"))
      }
      offset += digits
      return value
    }

    /// One or more digits behind a point, in thousandths.
    mutating func fraction() -> Int? {
      var (value, scale, count) = (0, 100, 0)
      while offset < bytes.count, isDigit(bytes[offset]) {
        value += Int(bytes[offset] - UInt8(ascii: "0")) * scale
        scale /= 10
        offset += 1
        count += 1
      }
      return count > 0 ? value : nil
    }

    /// One of these characters.
    mutating func skip(_ characters: String) -> Bool {
      guard offset < bytes.count, characters.utf8.contains(bytes[offset]) else { return false }
      offset += 1
      return true
    }
  }
}
