/// MD5 (RFC 1321). It protects nothing: stores name objects by it, and some ask for it.
package enum MD5 {
  private static let shifts: [UInt32] = [
    7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21,
  ]
  /// The whole parts of |sin(i + 1)| × 2^32.
  private static let constants: [UInt32] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613,
    0xfd46_9501, 0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193,
    0xa679_438e, 0x49b4_0821, 0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d,
    0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8, 0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a, 0xfffa_3942, 0x8771_f681, 0x6d9d_6122,
    0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70, 0x289b_7ec6, 0xeaa1_27fa,
    0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665, 0xf429_2244,
    0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb,
    0xeb86_d391,
  ]

  package static func hash(_ message: [UInt8]) -> [UInt8] {
    var state: (UInt32, UInt32, UInt32, UInt32) = (
      0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476
    )
    let whole = message.count / 64 * 64
    var tail = Array(message[whole...]) + [0x80]
    tail += [UInt8](repeating: 0, count: (120 - tail.count % 64) % 64)
    let bits = UInt64(message.count) &* 8
    for index in 0..<8 { tail.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * index))) }
    message.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: whole, by: 64) { mix(&state, bytes, start) }
    }
    tail.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count, by: 64) { mix(&state, bytes, start) }
    }
    return [state.0, state.1, state.2, state.3].flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
    }
  }

  private static func mix(
    _ state: inout (UInt32, UInt32, UInt32, UInt32), _ bytes: UnsafeRawBufferPointer, _ start: Int
  ) {
    var (a, b, c, d) = state
    constants.withUnsafeBufferPointer { constants in
      shifts.withUnsafeBufferPointer { shifts in
        for step in 0..<64 {
          let value: UInt32
          let index: Int
          switch step >> 4 {
          case 0: (value, index) = (d ^ (b & (c ^ d)), step)
          case 1: (value, index) = (c ^ (d & (b ^ c)), (5 &* step &+ 1) & 15)
          case 2: (value, index) = (b ^ c ^ d, (3 &* step &+ 5) & 15)
          default: (value, index) = (c ^ (b | ~d), (7 &* step) & 15)
          }
          let word = UInt32(
            littleEndian: bytes.loadUnaligned(
              fromByteOffset: start &+ 4 &* index, as: UInt32.self))
          let sum = a &+ value &+ constants[step] &+ word
          let shift = shifts[(step >> 4) &* 4 &+ (step & 3)]
          (a, d, c) = (d, c, b)
          b = b &+ (sum << shift | sum >> (32 &- shift))
        }
      }
    }
    state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d)
  }
}

/// Base 64 (RFC 4648).
package enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let number = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[start + $1]) : 0) }
      for digit in 0..<4 {
        text.append(
          digit <= group.count ? alphabet[number >> (18 - 6 * digit) & 63] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
