/// Numbers for people.
enum Format {
  /// 1234567 as `1,234,567`.
  static func count(_ value: Int) -> String {
    var digits = Array(String(value.magnitude))
    var position = digits.count - 3
    while position > 0 {
      digits.insert(",", at: position)
      position -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }

  /// A number with its noun: `1 batch`, `1,234 batches`.
  static func count(_ value: some BinaryInteger, _ one: String, _ many: String) -> String {
    "\(count(Int(clamping: value))) \(value == 1 ? one : many)"
  }

  /// Bytes with the unit that keeps the number short: `17 B`, `4.2 MB`.
  static func bytes(_ value: Int) -> String {
    var size = Double(value)
    for unit in ["B", "kB", "MB", "GB"] {
      if size < 1000 { return unit == "B" ? "\(value) B" : "\(decimal(size, 1)) \(unit)" }
      size /= 1000
    }
    return "\(decimal(size, 1)) TB"
  }

  /// `850 ms`, `12.3 s`, `4 min 05 s`.
  static func seconds(_ value: Double) -> String {
    if value < 1 { return "\(decimal(value * 1000, value < 0.01 ? 2 : 0)) ms" }
    if value < 100 { return "\(decimal(value, 1)) s" }
    let whole = Int(value)
    return "\(whole / 60) min \(whole % 60 < 10 ? "0" : "")\(whole % 60) s"
  }

  /// A number with so many digits behind the point.
  static func decimal(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((abs(value) * scale).rounded())
    let unit = Int(scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return sign + String(scaled) }
    let fraction = String(scaled % unit)
    return sign + "\(scaled / unit)." + String(repeating: "0", count: digits - fraction.count)
      + fraction
  }
}
