#if Encryption
  import VecDBBytes
  import Crypto
  import FoundationEssentials
  import VecDB

  /// The data key of a repository, encrypted under a key that is made of what a person holds: the
  /// object `keys`.
  ///
  /// Layout, little-endian: magic `VDBKEYS\0`, version u32 (1), kind u8 (1 key file, 2 passphrase),
  /// salt 16 bytes, scrypt's cost as a power of two u8, block size u32 and parallelism u32 (0 for a
  /// key file), nonce 12, encrypted data key 32, tag 16; CRC-32C of all before. What stands before
  /// the nonce is authenticated.
  struct WrappedDataKey {
    enum Kind: UInt8 {
      case keyFile = 1
      case passphrase = 2
    }

    static let magic = Array("VDBKEYS\0".utf8)
    static let version: UInt32 = 1
    static let saltBytes = 16

    var kind: Kind
    var salt: [UInt8]
    var costExponent: UInt8
    var blockSize: UInt32
    var parallelism: UInt32
    private var box: [UInt8] = []

    init(kind: Kind, costExponent: UInt8 = 0, blockSize: UInt32 = 0, parallelism: UInt32 = 0) {
      self.kind = kind
      salt = SymmetricKey(size: .init(bitCount: Self.saltBytes * 8)).withUnsafeBytes { Array($0) }
      self.costExponent = costExponent
      self.blockSize = blockSize
      self.parallelism = parallelism
    }

    private var header: [UInt8] {
      var writer = ByteWriter()
      writer.write(raw: Self.magic)
      writer.write(Self.version)
      writer.write(kind.rawValue)
      writer.write(raw: salt)
      writer.write(costExponent)
      writer.write(blockSize)
      writer.write(parallelism)
      return writer.bytes
    }

    mutating func wrap(_ dataKey: SymmetricKey, under key: SymmetricKey) throws {
      let sealed = try dataKey.withUnsafeBytes {
        try AES.GCM.seal($0, using: key, authenticating: header)
      }
      box = sealed.combined.map { Array($0) } ?? []
    }

    /// Throws `invalidArgument` if this is not the key.
    func unwrap(under key: SymmetricKey, at place: String) throws -> SymmetricKey {
      do {
        let bytes = try AES.GCM.open(
          AES.GCM.SealedBox(combined: box), using: key, authenticating: header)
        return SymmetricKey(data: bytes)
      } catch {
        throw VecDBError(
          .invalidArgument, "this key does not open the repository", at: place,
          remedy: "Give the present key file or passphrase of the repository.")
      }
    }

    func encode() -> [UInt8] {
      var writer = ByteWriter()
      writer.write(raw: header)
      writer.write(raw: box)
      writer.write(CRC32C.checksum(writer.bytes))
      return writer.bytes
    }

    /// Throws `corrupt` or `unknownVersion`.
    init(decoding bytes: [UInt8], at place: String) throws {
      do {
        self = try bytes.withUnsafeBytes { try WrappedDataKey(reading: $0, at: place) }
      } catch let failure as ByteReader.Failure {
        throw VecDBError(
          .corrupt, "the repository's wrapped key is damaged: \(failure)", at: place,
          remedy: "Put the file back from a copy; without it, nobody can read the repository."
        )
      }
    }

    private init(reading bytes: UnsafeRawBufferPointer, at place: String) throws {
      var reader = ByteReader(bytes)
      guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.magic) else {
        throw reader.failure("magic")
      }
      let version: UInt32 = try reader.read("version")
      let body = UnsafeRawBufferPointer(rebasing: bytes.prefix(max(0, bytes.count - 4)))
      var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(body.count)))
      guard try trailer.read(UInt32.self, "checksum") == CRC32C.checksum(body) else {
        throw reader.failure("checksum")
      }
      guard version == Self.version else {
        throw VecDBError(
          .unknownVersion, "the repository's wrapped key has format version \(version)", at: place,
          remedy: "Use a newer vecdb.")
      }
      guard let kind = Kind(rawValue: try reader.read("kind")) else { throw reader.failure("kind") }
      self.kind = kind
      salt = Array(try reader.readRaw(count: Self.saltBytes, "salt"))
      costExponent = try reader.read("cost")
      blockSize = try reader.read("block size")
      parallelism = try reader.read("parallelism")
      box = Array(
        try reader.readRaw(
          count: RepositoryCipher.nonceBytes + 32 + RepositoryCipher.tagBytes, "wrapped key"))
      guard reader.remaining == 4 else { throw reader.failure("end") }
    }
  }

  /// What both kinds of keys have in common.
  protocol WrappingKey: RepositoryKey {
    func newWrapping() throws -> (WrappedDataKey, SymmetricKey)
    func key(for wrapped: WrappedDataKey, at place: String) throws -> SymmetricKey
  }

  extension WrappingKey {
    func wrap(_ dataKey: SymmetricKey) throws -> [UInt8] {
      var (wrapped, key) = try newWrapping()
      try wrapped.wrap(dataKey, under: key)
      return wrapped.encode()
    }

    func dataKey(of keys: [UInt8], at place: String) throws -> SymmetricKey {
      let wrapped = try WrappedDataKey(decoding: keys, at: place)
      return try wrapped.unwrap(under: key(for: wrapped, at: place), at: place)
    }

    public func makeCipher() throws -> (keys: [UInt8], cipher: any BlockCipher) {
      let dataKey = SymmetricKey(size: .bits256)
      return (try wrap(dataKey), RepositoryCipher(dataKey: dataKey))
    }

    public func openCipher(keys: [UInt8], at place: String) throws -> any BlockCipher {
      RepositoryCipher(dataKey: try dataKey(of: keys, at: place))
    }

    public func rewrap(
      _ keys: [UInt8], openedBy old: any RepositoryKey, at place: String
    ) throws -> [UInt8] {
      guard let old = old as? any WrappingKey else {
        throw VecDBError(
          .invalidArgument, "this key cannot replace a key of the old kind", at: place)
      }
      return try wrap(old.dataKey(of: keys, at: place))
    }
  }
#endif
