import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What this process takes of the machine's memory, from /proc; 0 where there is none.
enum ProcessMemory {
  /// Resident bytes now.
  static var residentBytes: Int { kilobytes("VmRSS") * 1024 }

  /// Those of them that no file backs. The others are clean pages of files, which the kernel takes
  /// back when something else needs the memory.
  static var anonymousBytes: Int { kilobytes("RssAnon") * 1024 }

  /// The most resident bytes since the last ``resetPeak()``.
  static var peakBytes: Int { kilobytes("VmHWM") * 1024 }

  /// Starts the peak anew, where the kernel lets a process do so; elsewhere it stays the peak of
  /// the whole process.
  static func resetPeak() {
    guard let file = fopen("/proc/self/clear_refs", "w") else { return }
    fputs("5", file)
    fclose(file)
  }

  private static func kilobytes(_ field: String) -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix(field + ":") else { continue }
      return text.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
        .flatMap { Int($0) } ?? 0
    }
    return 0
  }
}
