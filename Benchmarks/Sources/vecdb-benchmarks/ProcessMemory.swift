import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What this process takes of the machine's memory, from /proc; 0 where there is none.
enum ProcessMemory {
  /// Resident bytes now, but for the pages of programs and libraries.
  static var residentBytes: Int { data.resident }

  /// Those of them that no file backs. The others are clean pages of files, which the kernel takes
  /// back when something else needs the memory.
  static var anonymousBytes: Int { data.anonymous }

  private static var data: (resident: Int, anonymous: Int) {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    var (resident, anonymous, counts) = (0, 0, true)
    lines(of: "/proc/self/smaps") { line in
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard let first = words.first else { return }
      let bytes = words.count > 1 ? (Int(words[1]) ?? 0) * 1_024 : 0
      if first == "Rss:" {
        resident += counts ? bytes : 0
      } else if first == "Anonymous:" {
        anonymous += counts ? bytes : 0
      } else if first.contains("-") {
        let name = words.count > 5 ? words[5...].joined(separator: " ") : ""
        counts = !(name.contains(".so") || name == program)
      }
    }
    return (resident, anonymous)
  }

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
    var result = 0
    lines(of: "/proc/self/status") { line in
      guard line.hasPrefix(field + ":") else { return }
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      result = words.dropFirst().first.flatMap { Int($0) } ?? 0
    }
    return result
  }

  private static func lines(of path: String, _ body: (String) -> Void) {
    guard let file = fopen(path, "r") else { return }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 1_024)
    while fgets(&line, 1_024, file) != nil {
      let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      body(String(decoding: bytes, as: UTF8.self))
    }
  }
}
