using System.Buffers.Binary;
using System.Text;

namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>Reads the fields of a message in Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding).</summary>
/// <remarks>Whatever is malformed is an <see cref="InvalidDataException"/>.</remarks>
ref struct ProtobufReader(ReadOnlySpan<byte> message)
{
    ReadOnlySpan<byte> _rest = message;
    int _wireType;

    /// <summary>The number of the field that is read now.</summary>
    public int Field { get; private set; }

    /// <summary>Goes to the next field. The one before must have been read or skipped.</summary>
    public bool Next()
    {
        if (_rest.IsEmpty)
            return false;
        var tag = ReadVarint();
        (Field, _wireType) = ((int)(tag >> 3), (int)(tag & 7));
        return true;
    }

    public ulong ReadVarint()
    {
        ulong value = 0;
        for (var i = 0; i < 10; i++)
        {
            if (i >= _rest.Length)
                break;
            value |= (ulong)(_rest[i] & 0x7f) << (7 * i);
            if ((_rest[i] & 0x80) != 0)
                continue;
            _rest = _rest[(i + 1)..];
            return value;
        }
        throw Malformed();
    }

    public ulong ReadFixed64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    public double ReadDouble() => BitConverter.UInt64BitsToDouble(ReadFixed64());

    public ReadOnlySpan<byte> ReadBytes() => Take(ReadVarint());

    public string ReadString() => Encoding.UTF8.GetString(ReadBytes());

    /// <summary>A list of 8-byte values, packed or one of them.</summary>
    public ulong[] ReadFixed64s()
    {
        var bytes = _wireType == 2 ? ReadBytes() : Take(8);
        var values = new ulong[bytes.Length / 8];
        for (var i = 0; i < values.Length; i++)
            values[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(8 * i)..]);
        return values;
    }

    public void Skip()
    {
        switch (_wireType)
        {
            case 0: ReadVarint(); break;
            case 1: Take(8); break;
            case 2: ReadBytes(); break;
            case 5: Take(4); break;
            default: throw Malformed();
        }
    }

    ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)_rest.Length)
            throw Malformed();
        var taken = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return taken;
    }

    static InvalidDataException Malformed() => new("This is not a Protocol Buffers message.");
}
