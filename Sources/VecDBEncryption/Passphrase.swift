#if Encryption
  import Crypto
  import CryptoExtras
  import FoundationEssentials
  import VecDB

  /// A key that a person remembers, made into one of 256 bits by scrypt (RFC 7914) with N = 2^17, r = 8,
  /// p = 1: 128 MiB and a good part of a second for each guess, and once for each opening.
  public struct Passphrase: RepositoryKey, WrappingKey {
    private let bytes: [UInt8]

    private static let costExponent: UInt8 = 17
    /// The most that a repository may ask for: 1 GiB.
    private static let largestCostExponent: UInt8 = 20
    private static let blockSize: UInt32 = 8
    private static let parallelism: UInt32 = 1

    /// - Throws: `invalidArgument` for fewer than 8 bytes of UTF-8.
    public init(text: String) throws {
      bytes = Array(text.utf8)
      guard bytes.count >= 8 else {
        throw VecDBError(
          .invalidArgument, "the passphrase is too short",
          remedy: "Use at least 8 characters, better several words.")
      }
    }

    func newWrapping() throws -> (WrappedDataKey, SymmetricKey) {
      let wrapped = WrappedDataKey(
        kind: .passphrase, costExponent: Self.costExponent, blockSize: Self.blockSize,
        parallelism: Self.parallelism)
      return (wrapped, try derive(wrapped))
    }

    func key(for wrapped: WrappedDataKey, at place: String) throws -> SymmetricKey {
      guard wrapped.kind == .passphrase else {
        throw VecDBError(
          .invalidArgument, "the repository needs a key file, but you gave a passphrase",
          at: place, remedy: "Give the key file.")
      }
      guard (14...Self.largestCostExponent).contains(wrapped.costExponent),
        wrapped.blockSize == Self.blockSize, (1...16).contains(wrapped.parallelism)
      else {
        throw VecDBError(
          .corrupt, "the repository names an invalid scrypt cost for its passphrase", at: place)
      }
      return try derive(wrapped)
    }

    private func derive(_ wrapped: WrappedDataKey) throws -> SymmetricKey {
      try KDF.Scrypt.deriveKey(
        from: bytes, salt: wrapped.salt, outputByteCount: 32,
        rounds: 1 << Int(wrapped.costExponent),
        blockSize: Int(wrapped.blockSize), parallelism: Int(wrapped.parallelism))
    }
  }
#endif
