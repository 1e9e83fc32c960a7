/// Moments as object stores write them, in milliseconds since 1970.
package enum StoreTime {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// `2026-12-01T07:56:28Z`, with or without a fraction.
  package static func iso8601(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"),
      [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")].allSatisfy({
        bytes[$0.0] == $0.1.utf8.first
      }),
      let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
      let day = number(bytes[8..<10]), let hour = number(bytes[11..<13]),
      let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
      let time = milliseconds(year, month, day, hour, minute, second)
    else { return nil }
    guard bytes.count > 20 else { return time }
    guard bytes[19] == UInt8(ascii: "."), bytes.count <= 30 else { return nil }
    let digits = bytes[20..<bytes.count - 1]
    guard number(digits) != nil,
      let fraction = number((Array(digits) + [48, 48, 48]).prefix(3)[...])
    else { return nil }
    return time + Int64(fraction)
  }

  /// `Tue, 01 Dec 2026 08:01:11 GMT`.
  package static func http(_ text: String) -> Int64? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = number(Array(parts[1].utf8)[...]),
      let month = months.firstIndex(of: String(parts[2])),
      let year = number(Array(parts[3].utf8)[...])
    else { return nil }
    let clock = parts[4].split(separator: ":").map { number(Array($0.utf8)[...]) }
    guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2] else {
      return nil
    }
    return milliseconds(year, month + 1, day, hour, minute, second)
  }

  /// `20150830T123600Z`, as signatures have it.
  package static func compact(_ milliseconds: Int64) -> String {
    let seconds = max(0, milliseconds) / 1_000
    let (days, rest) = (seconds / 86_400, seconds % 86_400)
    // Days to a date: http://howardhinnant.github.io/date_algorithms.html
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let index = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * index + 2) / 5 + 1
    let month = index < 10 ? index + 3 : index - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return padded(year, 4) + padded(month, 2) + padded(day, 2) + "T" + padded(rest / 3_600, 2)
      + padded(rest / 60 % 60, 2) + padded(rest % 60, 2) + "Z"
  }

  private static func padded(_ number: Int64, _ count: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
    guard !digits.isEmpty, digits.count <= 9, digits.allSatisfy({ (48...57).contains($0) }) else {
      return nil
    }
    return digits.reduce(0) { $0 * 10 + Int($1) - 48 }
  }

  private static func milliseconds(
    _ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int, _ second: Int
  ) -> Int64? {
    guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear / 400
    let yearOfEra = shiftedYear % 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days =
      era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    return Int64(((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000
  }
}
