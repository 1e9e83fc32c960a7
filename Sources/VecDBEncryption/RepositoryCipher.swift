#if Encryption
  import Crypto
  import FoundationEssentials
  import VecDB

  /// AES-256-GCM (NIST SP 800-38D) under a repository's data key, with a random nonce for each object
  /// and the object's name authenticated with it. Names of blocks are HMAC-SHA256 of their hashes. Both
  /// keys come from the data key by HKDF-SHA256 (RFC 5869).
  ///
  /// Random nonces of 96 bits allow 2^32 objects, 4 PB of blocks, before a repetition becomes likelier
  /// than 2^-32.
  struct RepositoryCipher: BlockCipher {
    private let contents: SymmetricKey
    private let names: SymmetricKey

    static let nonceBytes = 12
    static let tagBytes = 16

    init(dataKey: SymmetricKey) {
      func derive(_ purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
          inputKeyMaterial: dataKey, info: Array(purpose.utf8), outputByteCount: 32)
      }
      contents = derive("vecdb repository contents 1")
      names = derive("vecdb repository names 1")
    }

    var overheadBytes: Int { Self.nonceBytes + Self.tagBytes }

    func seal(_ bytes: UnsafeRawBufferPointer, context: [UInt8]) throws -> [UInt8] {
      let box = try AES.GCM.seal(bytes, using: contents, authenticating: context)
      guard let combined = box.combined else {
        throw VecDBError(.invalidArgument, "the cipher made no combined form")
      }
      return Array(combined)
    }

    func open(_ bytes: [UInt8], context: [UInt8]) throws -> [UInt8] {
      Array(
        try AES.GCM.open(
          AES.GCM.SealedBox(combined: bytes), using: contents, authenticating: context))
    }

    func name(of hash: [UInt8]) -> [UInt8] {
      Array(HMAC<SHA256>.authenticationCode(for: hash, using: names))
    }
  }
#endif
