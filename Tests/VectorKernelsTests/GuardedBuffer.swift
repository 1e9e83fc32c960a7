#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory whose last byte is followed by a page that nobody may touch, so that a kernel reading
/// past its input ends the test run.
final class GuardedBuffer {
  let base: UnsafeMutableRawPointer
  private let mapping: UnsafeMutableRawPointer
  private let mappedBytes: Int

  init(countBytes: Int) {
    let page = Int(getpagesize())
    let usable = (max(countBytes, 1) + page - 1) / page * page
    mappedBytes = usable + page
    guard
      let mapping = mmap(
        nil, mappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      mapping != MAP_FAILED, mprotect(mapping + usable, page, PROT_NONE) == 0
    else { preconditionFailure("cannot map \(mappedBytes) bytes") }
    self.mapping = mapping
    base = mapping + (usable - countBytes)
  }

  deinit { munmap(mapping, mappedBytes) }

  func typed<T>(_ type: T.Type) -> UnsafeMutablePointer<T> {
    base.assumingMemoryBound(to: type)
  }
}
