/// SHA-256 (FIPS 180-4), incremental. A plain value that allocates nothing; uses the processor's
/// instructions where there are any.
package struct SHA256: Sendable {
  /// The eight chaining words a to h.
  package typealias State = (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)

  /// What chaining starts from (FIPS 180-4, section 5.3.3).
  package static let initialState: State = (
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
  )

  private static let blockSizeBytes = 64

  private var state = SHA256.initialState
  /// The last `lengthBytes mod 64` bytes, which do not fill a block yet.
  private var pending: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
    (0, 0, 0, 0, 0, 0, 0, 0)
  private var lengthBytes: UInt64 = 0

  package init() {}

  /// The digest of `bytes`.
  package static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
    var hasher = SHA256()
    hasher.update(bytes)
    return hasher.finalize()
  }

  /// The digest of `bytes`.
  package static func hash(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { hash($0) } }

  /// Goes on with `bytes`.
  package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// Goes on with the 32 bytes of a digest.
  package mutating func update(_ digest: Digest) {
    let words = digest.words
    let bytes = (
      words.0.littleEndian, words.1.littleEndian, words.2.littleEndian, words.3.littleEndian
    )
    withUnsafeBytes(of: bytes) { update($0) }
  }

  /// Goes on with an integer, little-endian.
  package mutating func update(_ integer: some FixedWidthInteger) {
    withUnsafeBytes(of: integer.littleEndian) { update($0) }
  }

  /// Goes on with `bytes`.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard var next = bytes.baseAddress, bytes.count > 0 else { return }
    var rest = bytes.count
    let filled = Int(lengthBytes % 64)
    lengthBytes &+= UInt64(rest)
    if filled > 0 {
      let taken = min(Self.blockSizeBytes - filled, rest)
      withUnsafeMutableBytes(of: &pending) { pending in
        guard let base = pending.baseAddress else { return }
        (base + filled).copyMemory(from: next, byteCount: taken)
      }
      next += taken
      rest -= taken
      guard filled + taken == Self.blockSizeBytes else { return }
      compressPending()
    }
    let blocks = rest / Self.blockSizeBytes
    if blocks > 0 {
      Self.compress(&state, next, blockCount: blocks)
      next += blocks * Self.blockSizeBytes
      rest -= blocks * Self.blockSizeBytes
    }
    if rest > 0 {
      withUnsafeMutableBytes(of: &pending) { pending in
        pending.baseAddress?.copyMemory(from: next, byteCount: rest)
      }
    }
  }

  /// The digest of everything so far. The value must not be used after it.
  package mutating func finalize() -> Digest {
    let filled = Int(lengthBytes % 64)
    pad(from: filled)
    if filled >= 56 {
      compressPending()
      pending = (0, 0, 0, 0, 0, 0, 0, 0)
    }
    pending.7 = (lengthBytes &* 8).bigEndian
    compressPending()
    func word(_ first: UInt32, _ second: UInt32) -> UInt64 {
      UInt64(first.byteSwapped) | UInt64(second.byteSwapped) << 32
    }
    return Digest(
      words: (
        word(state.0, state.1), word(state.2, state.3), word(state.4, state.5),
        word(state.6, state.7)
      ))
  }

  /// The bit that ends the message, and zeros to the end of the block.
  private mutating func pad(from filled: Int) {
    withUnsafeMutableBytes(of: &pending) { pending in
      pending[filled] = 0x80
      guard let base = pending.baseAddress else { return }
      let start = filled + 1
      (base + start).initializeMemory(
        as: UInt8.self, repeating: 0, count: Self.blockSizeBytes - start)
    }
  }

  private mutating func compressPending() {
    withUnsafeBytes(of: pending) { pending in
      guard let base = pending.baseAddress else { return }
      Self.compress(&state, base, blockCount: 1)
    }
  }
}
