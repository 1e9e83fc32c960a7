#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What one array takes.
package struct ArrayUse: Sendable {
  package let name: String
  /// Bytes in use.
  package let bytes: Int
  /// Those of the process's resident bytes that lie in the array; nil where the system does not
  /// tell.
  package let residentBytes: Int?
}

extension RowArray {
  /// From any thread.
  package var use: ArrayUse {
    ArrayUse(name: name, bytes: usedBytes.load(ordering: .relaxed), residentBytes: residentBytes)
  }

  /// Counts the pages that /proc/self/pagemap calls present: a word per page, its highest bit.
  private var residentBytes: Int? {
    let pageBytes = max(1, sysconf(Int32(_SC_PAGESIZE)))
    let file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let first = Int(bitPattern: base) / pageBytes
    let end = first + (usedBytes.load(ordering: .relaxed) + pageBytes - 1) / pageBytes
    var words = [UInt64](repeating: 0, count: 4_096)
    var (page, present) = (first, 0)
    while page < end {
      let wanted = min(words.count, end - page)
      let count = words.withUnsafeMutableBytes { pread(file, $0.baseAddress, wanted * 8, page * 8) }
      guard count > 0, count % 8 == 0 else { return nil }
      for index in 0..<count / 8 { present += Int(words[index] >> 63) }
      page += count / 8
    }
    return present * pageBytes
  }
}

extension IndexGeneration {
  /// What each array takes, in the order of the format. From any thread.
  package var arrayUse: [ArrayUse] { checkpointArrays.map(\.use) }
}
