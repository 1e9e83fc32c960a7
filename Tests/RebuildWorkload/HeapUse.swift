import Foundation

/// What the process has allocated, as against what the C library keeps of what was freed.
enum HeapUse {
  /// Bytes that are in use in all heaps of glibc; 0 where the C library does not tell.
  static var bytes: Int {
    typealias Describe = @convention(c) (Int32, UnsafeMutablePointer<FILE>) -> Int32
    guard let symbol = dlsym(nil, "malloc_info") else { return 0 }
    var text: UnsafeMutablePointer<CChar>?
    var size = 0
    guard let file = open_memstream(&text, &size) else { return 0 }
    _ = unsafeBitCast(symbol, to: Describe.self)(0, file)
    fclose(file)
    defer { free(text) }
    guard let text else { return 0 }
    // The totals of all heaps follow the last of them.
    let totals = String(cString: text).components(separatedBy: "</heap>").last ?? ""
    func total(_ tag: String) -> Int {
      guard let start = totals.range(of: tag), let end = totals[start.upperBound...].range(of: "/>")
      else { return 0 }
      let fields = totals[start.upperBound..<end.lowerBound]
      return fields.components(separatedBy: "size=\"").dropFirst().first
        .flatMap { Int($0.prefix { $0.isNumber }) } ?? 0
    }
    return total("<system type=\"current\"") + total("<total type=\"mmap\"")
      - total("<total type=\"fast\"") - total("<total type=\"rest\"")
  }
}
