import VecDBBytes

/// Encrypts what a repository keeps. The repository hands every object through it, under the name
/// that it has there, so that neither contents nor the hashes of contents are to be seen, and so
/// that no object can stand in for another.
package protocol ObjectCipher: Sendable {
  /// How much longer an object is than what is in it.
  var overheadBytes: Int { get }
  func seal(_ bytes: UnsafeRawBufferPointer, as name: String) throws -> [UInt8]
  /// Throws `.corrupt` for anything but what `seal` made under that name with the same key.
  func open(_ bytes: [UInt8], as name: String, at place: String) throws -> [UInt8]
  /// The name of a block: a function of its hash that tells nothing to who does not have the key.
  func name(of hash: Digest) -> Digest
}

/// Makes and opens the cipher of a repository with a key that a person or a program holds.
package protocol ObjectCipherSource: Sendable {
  /// For a new repository: a cipher, and the object `keys` by which it can be opened again.
  func makeCipher() throws -> (keys: [UInt8], cipher: any ObjectCipher)
  /// Throws `.invalidArgument` for the wrong key, `.corrupt`, `.unknownVersion`.
  func openCipher(keys: [UInt8], at place: String) throws -> any ObjectCipher
}
