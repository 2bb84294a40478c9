//! [`Connection`]: the Redis protocol over one TCP connection, so that a measurement holds no start of a process.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `nil`.
    Nil,
    /// A number.
    Number(i64),
    /// A string, simple or bulk.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(list) => write!(f, "{list:?}"),
        }
    }
}

/// An open connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects, in the namespace of the calling thread.
    pub fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// One command and its reply; an error reply is an error.
    pub fn call(&mut self, words: &[&str]) -> Result<Value> {
        self.send(&[words.to_vec()])?;
        self.reply()
    }

    /// Many commands at once, without waiting in between.
    pub fn pipeline(&mut self, commands: &[Vec<&str>]) -> Result<()> {
        self.send(commands)?;
        commands.iter().try_for_each(|_| self.reply().map(drop))
    }

    /// Sends commands; their replies must be read.
    pub fn send(&mut self, commands: &[Vec<&str>]) -> Result<()> {
        let mut bytes = Vec::new();
        for words in commands {
            write!(bytes, "*{}\r\n", words.len())?;
            for word in words {
                write!(bytes, "${}\r\n{word}\r\n", word.len())?;
            }
        }
        self.stream.get_mut().write_all(&bytes).context("sending to Redis")
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("reading from Redis")?;
        let line = line.trim_end();
        let Some((kind, rest)) = line.split_at_checked(1) else { bail!("Redis closed the connection") };
        let number = || rest.parse::<i64>().with_context(|| format!("not a number: {line}"));
        match kind {
            "+" => Ok(Value::Text(rest.to_owned())),
            "-" => bail!("Redis: {rest}"),
            ":" => Ok(Value::Number(number()?)),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
                }
                Err(_) => Ok(Value::Nil),
            },
            "*" => match usize::try_from(number()?) {
                Ok(length) => Ok(Value::List((0..length).map(|_| self.reply()).collect::<Result<_>>()?)),
                Err(_) => Ok(Value::Nil),
            },
            _ => bail!("not a reply of Redis: {line}"),
        }
    }
}
