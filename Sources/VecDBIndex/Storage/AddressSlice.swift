import Glibc
import Synchronization

/// A stretch of address space that grows in place, upwards and downwards from its base.
///
/// Nothing is reserved: what is not used is not mapped, so that neither the number of collections
/// nor a limit on the address space has to do with the machine's memory. Room to grow comes from
/// where the slice lies: in the middle of the widest gap of a region that the system hands out to
/// nobody who does not ask for it. Where that region cannot be used (a sanitizer, a small address
/// space), the whole stretch is reserved.
///
/// Unchecked: the one writer of an array maps; the base never changes.
final class AddressSlice: @unchecked Sendable {
  /// 2 MiB aligned.
  let base: UnsafeMutableRawPointer
  /// Bytes above the base that it may grow to.
  let aboveBytes: Int
  private let reservation: (start: UnsafeMutableRawPointer, bytes: Int)?
  /// Bytes that are mapped, on both sides of the base.
  private var mapped = (above: 0, below: 0)

  static let alignmentBytes = 2 << 20

  /// Nil if there is no address space left.
  init?(aboveBytes wanted: Int, belowBytes: Int) {
    let below = (belowBytes + Self.alignmentBytes - 1) & ~(Self.alignmentBytes - 1)
    if let address = AddressMap.shared.claim(below: below) {
      guard let base = UnsafeMutableRawPointer(bitPattern: address) else { return nil }
      self.base = base
      aboveBytes = wanted
      reservation = nil
      return
    }
    var above = wanted
    while true {
      let bytes = above + below + Self.alignmentBytes
      let start = mmap(
        nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      if let start, start != MAP_FAILED {
        let address = UInt(bitPattern: start) + UInt(below + Self.alignmentBytes - 1)
        let aligned = address & ~UInt(Self.alignmentBytes - 1)
        base = start + Int(aligned - UInt(bitPattern: start))
        aboveBytes = above
        reservation = (start, bytes)
        return
      }
      guard above > 64 << 20 else { return nil }
      above = max(64 << 20, (above / 2 + Self.alignmentBytes - 1) & ~(Self.alignmentBytes - 1))
    }
  }

  deinit {
    if let reservation {
      munmap(reservation.start, reservation.bytes)
    } else {
      if mapped.above + mapped.below > 0 {
        munmap(base - mapped.below, mapped.above + mapped.below)
      }
      AddressMap.shared.release(UInt(bitPattern: base))
    }
  }

  /// Makes the bytes from the base up to `above`, and `below` bytes before it, readable and writable;
  /// zero where they were not before. Both whole pages. False if the system refuses, or another
  /// slice is in the way.
  func map(above: Int, below: Int) -> Bool {
    guard above <= aboveBytes else { return false }
    if above > mapped.above {
      guard
        reservation != nil
          || AddressMap.shared.grow(UInt(bitPattern: base), to: above),
        map(base + mapped.above, above - mapped.above)
      else { return false }
      mapped.above = above
    }
    if below > mapped.below {
      guard map(base - below, below - mapped.below) else { return false }
      mapped.below = below
    }
    return true
  }

  private func map(_ start: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    if reservation != nil { return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0 }
    return AddressMap.map(start, bytes)
  }
}

/// Which addresses of the region slices have taken. Bookkeeping only.
private final class AddressMap: Sendable {
  static let shared = AddressMap()

  private struct Claim {
    /// The first address; the base lies `below` bytes behind it.
    var start: UInt
    var base: UInt
    var end: UInt
  }

  /// 48 TiB in the middle of what a process has on x86-64 and on arm64 with 48 bits: far from
  /// program, heap, libraries and stacks, and from what the system chooses by itself.
  private static let region: Range<UInt> = 0x2000_0000_0000..<0x5000_0000_0000
  private static let noReplace: Int32 = 0x10_0000  // MAP_FIXED_NOREPLACE of Linux 4.17
  /// Kept between two slices.
  private static let margin = UInt(AddressSlice.alignmentBytes)

  private let isUsable: Bool
  /// Ascending.
  private let claims = Mutex<[Claim]>([])

  private init() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let probes = [
      Self.region.lowerBound, (Self.region.lowerBound + Self.region.upperBound) / 2,
      Self.region.upperBound - UInt(AddressSlice.alignmentBytes),
    ]
    isUsable = probes.allSatisfy { address in
      UnsafeMutableRawPointer(bitPattern: address).map { Self.isGranted($0, page) } ?? false
    }
  }

  /// Whether the system maps a free place that is wished for, not demanded: the thread sanitizer ends
  /// a process that demands a place outside of its own.
  private static func isGranted(_ place: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    let found = mmap(
      place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let found, found != MAP_FAILED else { return false }
    munmap(found, bytes)
    return found == place
  }

  static func map(_ start: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    let found = mmap(
      start, bytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | noReplace, -1, 0)
    guard let found, found != MAP_FAILED else { return false }
    guard found == start else {
      // An older kernel takes the address for a wish.
      munmap(found, bytes)
      return false
    }
    return true
  }

  /// The base of a new slice in the middle of the widest gap; nil where the region cannot be used or
  /// is full. Cost: linear in the number of slices.
  func claim(below: Int) -> UInt? {
    guard isUsable else { return nil }
    return claims.withLock { claims in
      var widest: (index: Int, start: UInt, width: UInt) = (0, 0, 0)
      var last = Self.region.lowerBound
      for index in 0...claims.count {
        let next = index < claims.count ? claims[index].start : Self.region.upperBound
        if next > last, next - last > widest.width { widest = (index, last, next - last) }
        if index < claims.count { last = claims[index].end }
      }
      let needed = UInt(below) + 2 * Self.margin
      guard widest.width > 2 * needed else { return nil }
      // Growth is upwards: the lower half serves the neighbour below, the upper one this slice.
      let middle = widest.start + widest.width / 2
      let base = (middle + UInt(below)) & ~(Self.margin - 1)
      claims.insert(
        Claim(start: base - UInt(below) - Self.margin, base: base, end: base), at: widest.index)
      return base
    }
  }

  /// Whether the slice may reach `bytes` above its base; then they are its own.
  func grow(_ base: UInt, to bytes: Int) -> Bool {
    claims.withLock { claims in
      guard let index = Self.index(of: base, in: claims) else { return false }
      let end = base + UInt(bytes)
      let limit = index + 1 < claims.count ? claims[index + 1].start : Self.region.upperBound
      guard end <= limit else { return false }
      claims[index].end = max(claims[index].end, end)
      return true
    }
  }

  func release(_ base: UInt) {
    claims.withLock { claims in
      if let index = Self.index(of: base, in: claims) { claims.remove(at: index) }
    }
  }

  private static func index(of base: UInt, in claims: [Claim]) -> Int? {
    var (low, high) = (0, claims.count)
    while low < high {
      let middle = (low + high) / 2
      if claims[middle].base < base { low = middle + 1 } else { high = middle }
    }
    return low < claims.count && claims[low].base == base ? low : nil
  }
}
