import VecDBBytes

/// HMAC-SHA-256 (RFC 2104).
package enum HMAC {
  private static let blockBytes = 64

  package static func sign(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var block = key.count > blockBytes ? SHA256.hash(key).bytes.map { $0 } : key
    block += [UInt8](repeating: 0, count: blockBytes - block.count)
    let inner = SHA256.hash(block.map { $0 ^ 0x36 } + message)
    return SHA256.hash(block.map { $0 ^ 0x5C } + inner.bytes).bytes.map { $0 }
  }
}
